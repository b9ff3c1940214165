using System.Net.Sockets;
using BarBroker.Unix;

namespace BarBroker.Client.Grpc;

/// <summary>
/// The connection as HTTP sees it: bytes. Descriptors that come with them go to the inbox before the bytes are handed on, so they are
/// there when a reply is read. A plain read of the socket would drop them.
/// </summary>
internal sealed class DescriptorStream(Socket socket, IDescriptorSink descriptors, Action onClosed) : Stream
{
    private volatile bool _isOver;

    /// <summary>The connection has ended: true before HTTP hears of it, and so before any call fails of it.</summary>
    public bool IsOver => _isOver;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            while (true)
            {
                if (!buffer.IsEmpty)
                {
                    int received = DescriptorSocket.TryReceive(socket.SafeHandle, buffer.Span, descriptors);
                    if (received != DescriptorSocket.WouldBlock)
                    {
                        if (received == 0)
                        {
                            End();
                        }

                        return received;
                    }
                }

                // A wait without a buffer only peeks: it loses no descriptor.
                await socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None, cancellationToken);
                if (buffer.IsEmpty)
                {
                    return 0;
                }
            }
        }
        catch (Exception exception) when (exception is SocketException or UnixException or ObjectDisposedException)
        {
            End();
            throw new IOException("The connection to the broker broke.", exception);
        }
    }

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        try
        {
            while (!buffer.IsEmpty)
            {
                buffer = buffer[await socket.SendAsync(buffer, SocketFlags.None, cancellationToken)..];
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
        if (disposing)
        {
            socket.Dispose();
            End();
        }

        base.Dispose(disposing);
    }

    private void End()
    {
        _isOver = true;
        onClosed();
    }
}
