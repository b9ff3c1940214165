using System.IO.Pipelines;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Metering;
using BarBroker.Transport.Pacing;
using BarBroker.Unix;
using Microsoft.AspNetCore.Connections;

namespace BarBroker.Transport;

/// <content>From the socket to Kestrel.</content>
internal sealed partial class UnixConnection
{
    /// <summary>What every HTTP/2 client sends first: RFC 9113, section 3.4.</summary>
    private static ReadOnlySpan<byte> Preface => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8;

    private async Task ReceiveAsync()
    {
        Exception? error = null;
        try
        {
            // The listener goes on accepting.
            await Task.Yield();
            await ReceiveLoopAsync(_application.Output);
        }
        catch (UnixException exception)
        {
            error = new ConnectionResetException(exception.Message, exception);
        }
        catch (OperationCanceledException) when (_over.IsCancellationRequested)
        {
            // It waited for its turn, and there is a reason why it ended.
        }
        catch (Exception exception) when (exception is not OutOfMemoryException)
        {
            error = exception;
            _log.Failed(exception, _id);
        }

        // An end of input is the end of the connection: HTTP/2 has no half-closed ones.
        _descriptors.Refuse();
        DropCalls();
        await _application.Output.CompleteAsync(_shutdownReason ?? error);
        FireClosed();
    }

    private async Task ReceiveLoopAsync(PipeWriter input)
    {
        int expected = 0;
        int received;
        ValueTask<FlushResult> flushed = default;
        do
        {
            // The buffer is taken once there is something for it: an idle connection holds no memory.
            while (DescriptorSocket.TryPeek(_socket.SafeHandle, []) == DescriptorSocket.WouldBlock)
            {
                await _readable.WaitAsync();
            }

            FrameKind? flood;
            using (Turn turn = await _peer.Account.Pace.TakeTurnAsync(_socket.SafeHandle, _over.Token))
            {
                _options.Counters.Count(turn);
                received = Receive(input, turn, ref expected, out flood);
                if (received > 0 && flood is null)
                {
                    input.Advance(received);
                    flushed = input.FlushAsync();
                    if (turn.IsTaken)
                    {
                        // Behind what these bytes began, and what others have waiting. A flush may wait for the peer: not within the turn.
                        await Task.Yield();
                    }
                }
            }

            if (flood is { } kind)
            {
                await EndFloodAsync(kind);
                return;
            }
        }
        while (received > 0 && await flushed is { IsCompleted: false, IsCanceled: false });
    }

    /// <summary>Receives some bytes, and looks at what they are.</summary>
    /// <returns>How many; 0 at the end, which for a user who has to wait comes before what is unread.</returns>
    private int Receive(PipeWriter input, Turn turn, ref int expected, out FrameKind? flood)
    {
        flood = null;
        if (turn.HasLeft)
        {
            return 0;
        }

        Span<byte> buffer = input.GetSpan(TransportLimits.MinReadSize);
        int received = DescriptorSocket.TryReceive(_socket.SafeHandle, turn.IsTaken ? buffer[..PaceLimits.BytesPerTurn] : buffer);
        ReadOnlySpan<byte> bytes = buffer[..received];
        if (expected < Preface.Length && ContinuesPreface(bytes, ref expected))
        {
            _silence.Dispose();
            _peer.EndSilence();
        }

        if (expected >= 0)
        {
            flood = _meter.Follow(bytes);
            _peer.Account.Pace.Charge(_meter.TakePrice());
        }

        return received;
    }

    /// <summary>
    /// Follows the preface, and is true once all of it is there. After another byte it never will be: Kestrel answers such a peer when
    /// it can tell HTTP/1 from noise, and the clock that goes on running ends the rest.
    /// </summary>
    private static bool ContinuesPreface(ReadOnlySpan<byte> received, ref int expected)
    {
        if (expected < 0)
        {
            return false;
        }

        ReadOnlySpan<byte> rest = Preface[expected..];
        int common = Math.Min(rest.Length, received.Length);
        expected = received[..common].SequenceEqual(rest[..common]) ? expected + common : -1;
        return expected == Preface.Length;
    }

    /// <summary>Ends the connection, and says why if the peer reads at all.</summary>
    private async Task EndFloodAsync(FrameKind kind)
    {
        _options.Counters.FrameFloods.Add(kind);
        _log.Flood(_id, _credentials.Uid, _credentials.Pid, kind);
        _options.Offences.Add(ConnectionId);
        _farewell = new Farewell(kind);
        _application.Input.CancelPendingRead();
        await _sending.WaitAsync(TransportLimits.FarewellTimeout, _time).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        Abort(_farewell.Reason);
    }

    private void OnSilent()
    {
        _log.Silent(_id, _credentials.Uid, _credentials.Pid, _options.PrefaceTimeout);
        _options.Counters.ProtocolErrors.Add(BrokenProtocol.Silent);
        Abort(new ConnectionAbortedException($"The peer did not speak HTTP/2 within {_options.PrefaceTimeout}."));
    }
}
