using System.Buffers;
using BarBroker.Grpc;
using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>Reads messages from the body of a response.</summary>
internal sealed class MessageReader(Stream body, int maxLength) : IDisposable
{
    private const int InitialBuffer = 4096;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(InitialBuffer);
    private int _start;
    private int _end;

    /// <summary>The next message; default at the end.</summary>
    /// <exception cref="RpcException">What came is no gRPC.</exception>
    internal async ValueTask<(bool Found, T? Message)> ReadAsync<T>(MessageParser<T> parser, CancellationToken cancellationToken)
        where T : IMessage<T>
    {
        while (true)
        {
            ReadOnlySequence<byte> unread = new(_buffer, _start, _end - _start);
            FrameState state = MessageFrame.TryRead(ref unread, maxLength, out ReadOnlySequence<byte> message, out uint length);
            switch (state)
            {
                case FrameState.Message:
                    _start = _end - (int)unread.Length;
                    return (true, Parse(parser, message));
                case FrameState.Incomplete:
                    break;
                case FrameState.TooLong:
                    throw new RpcException(new Status(
                        StatusCode.ResourceExhausted, $"The response message has {length} bytes; at most {maxLength} are taken."));
                default:
                    throw new RpcException(ChannelStatuses.FrameInvalid);
            }

            MakeRoom(MessageFrame.HeaderSize + (int)length);
            int read = await body.ReadAsync(_buffer.AsMemory(_end), cancellationToken);
            if (read == 0)
            {
                return _start == _end ? (false, default) : throw new RpcException(ChannelStatuses.ResponseTruncated);
            }

            _end += read;
        }
    }

    public void Dispose()
    {
        byte[] buffer = _buffer;
        _buffer = [];
        if (buffer.Length > 0)
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static T Parse<T>(MessageParser<T> parser, ReadOnlySequence<byte> message)
        where T : IMessage<T>
    {
        try
        {
            return parser.ParseFrom(message);
        }
        catch (Exception exception) when (MalformedMessage.IsToldBy(exception))
        {
            throw new RpcException(ChannelStatuses.ResponseInvalid, innerException: exception);
        }
    }

    /// <summary>Moves what is unread to the front of a buffer that takes <paramref name="frame"/> bytes.</summary>
    private void MakeRoom(int frame)
    {
        if (_start == _end)
        {
            _start = _end = 0;
        }

        if (_start + frame <= _buffer.Length && _end < _buffer.Length)
        {
            return;
        }

        byte[] target = frame <= _buffer.Length ? _buffer : ArrayPool<byte>.Shared.Rent(frame);
        _buffer.AsSpan(_start, _end - _start).CopyTo(target);
        if (target != _buffer)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
            _buffer = target;
        }

        _end -= _start;
        _start = 0;
    }
}
