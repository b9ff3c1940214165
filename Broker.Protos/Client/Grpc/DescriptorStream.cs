using System.Net.Sockets;
using BarBroker.Unix;

namespace BarBroker.Client.Grpc;

/// <summary>
/// The connection as HTTP sees it: bytes. Descriptors that come with them go to the inbox before the bytes are handed on, so they are
/// there when a reply is read. A plain read of the socket would drop them.
/// </summary>
internal sealed class DescriptorStream : Stream
{
    private readonly Socket _socket;
    private readonly IDescriptorSink _descriptors;
    private readonly Action _onClosed;

    // HTTP's loop over the frames goes on on the thread that watches the socket. It only parses them and wakes up those who wait for a
    // response, who go on elsewhere.
    private readonly ReadinessSignal _readable;
    private volatile bool _isOver;
    private int _isDisposed;

    // One for the owner, and one for the read that is under way: the last closes the socket, on which a wait must not be left behind.
    private int _users = 1;

    internal DescriptorStream(Socket socket, IDescriptorSink descriptors, Action onClosed)
    {
        _socket = socket;
        _descriptors = descriptors;
        _onClosed = onClosed;
        _readable = ReadinessSignal.ForReading(socket.SafeHandle, continuesInline: true);
    }

    /// <summary>The connection has ended: true before HTTP hears of it, and so before any call fails of it.</summary>
    public bool IsOver => _isOver;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    /// <summary>One at a time. It ends with the connection, and heeds no token while it waits.</summary>
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!TryEnter())
        {
            throw new IOException("The connection to the broker is closed.");
        }

        try
        {
            int received;
            while ((received = Receive(buffer.Span)) == DescriptorSocket.WouldBlock)
            {
                await _readable.WaitAsync();
            }

            if (received == 0 && !buffer.IsEmpty)
            {
                End();
            }

            return received;
        }
        catch (UnixException exception)
        {
            End();
            throw new IOException("The connection to the broker broke.", exception);
        }
        finally
        {
            Leave();
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            while (!buffer.IsEmpty)
            {
                buffer = buffer[await _socket.SendAsync(buffer, SocketFlags.None, cancellationToken)..];
            }
        }
        catch (Exception exception) when (exception is SocketException or ObjectDisposedException)
        {
            // The read side says when the connection is over: what the broker sent before it went may still be there.
            throw new IOException("The connection to the broker broke.", exception);
        }
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override void Flush()
    {
        // Every write goes straight to the socket.
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Only asynchronous reads: HTTP/2 makes no others.");

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException("Only asynchronous writes: HTTP/2 makes no others.");

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _isDisposed, 1) == 0)
        {
            // Ends a read that waits.
            SocketEnd.ShutDown(_socket);

            Leave();
            End();
        }

        base.Dispose(disposing);
    }

    /// <summary>HTTP waits without a buffer, and has one when there is something for it.</summary>
    private int Receive(Span<byte> buffer) => buffer.IsEmpty
        ? DescriptorSocket.TryPeek(_socket.SafeHandle, buffer)
        : DescriptorSocket.TryReceive(_socket.SafeHandle, buffer, _descriptors);

    private bool TryEnter()
    {
        int users = Volatile.Read(ref _users);
        while (users > 0)
        {
            int seen = Interlocked.CompareExchange(ref _users, users + 1, users);
            if (seen == users)
            {
                return true;
            }

            users = seen;
        }

        return false;
    }

    private void Leave()
    {
        if (Interlocked.Decrement(ref _users) == 0)
        {
            _readable.Dispose();
            _socket.Dispose();
        }
    }

    private void End()
    {
        _isOver = true;
        _onClosed();
    }
}
