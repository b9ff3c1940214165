using System.Buffers;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using BarBroker.Grpc;
using Google.Protobuf;
using Microsoft.AspNetCore.Http.Features;

namespace BarBroker.Rpc;

/// <content>Request messages.</content>
internal sealed partial class ServerCall
{
    private PipeReader RequestBody => _features.GetRequiredFeature<IRequestBodyPipeFeature>().Reader;

    /// <summary>The one request message; the stream must end after it.</summary>
    internal async ValueTask<TRequest> ReadSingleAsync<TRequest>(MessageParser<TRequest> parser)
        where TRequest : class, IMessage<TRequest>
    {
        PipeReader body = RequestBody;
        CancellationToken cancellationToken = _timer is null ? CancellationToken.None : CancellationToken;
        TRequest? request = null;
        while (true)
        {
            ReadResult result = await ReadBodyAsync(body, cancellationToken);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (request is null && TryReadFrame(ref buffer, result.IsCompleted, out ReadOnlySequence<byte> message))
            {
                request = Parse(parser, message);
            }

            if (request is not null && !buffer.IsEmpty)
            {
                throw new RpcException(RpcStatuses.MessageExtra);
            }

            Advance(body, buffer.Start, buffer.End);
            if (result.IsCompleted)
            {
                return request ?? throw new RpcException(RpcStatuses.MessageMissing);
            }
        }
    }

    /// <summary>Request messages until the caller half-closes.</summary>
    internal async IAsyncEnumerable<TRequest> ReadAllAsync<TRequest>(
        MessageParser<TRequest> parser, [EnumeratorCancellation] CancellationToken cancellationToken)
        where TRequest : class, IMessage<TRequest>
    {
        PipeReader body = RequestBody;
        using CancellationTokenSource? linked = cancellationToken.CanBeCanceled
            ? CancellationTokenSource.CreateLinkedTokenSource(CancellationToken, cancellationToken)
            : null;
        CancellationToken either = linked?.Token ?? CancellationToken;
        while (true)
        {
            ReadResult result = await ReadBodyAsync(body, either);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (TryReadFrame(ref buffer, result.IsCompleted, out ReadOnlySequence<byte> message))
            {
                TRequest request = Parse(parser, message);
                Advance(body, buffer.Start, buffer.Start);
                yield return request;
                continue;
            }

            Advance(body, buffer.Start, buffer.End);
            if (result.IsCompleted)
            {
                yield break;
            }
        }
    }

    /// <summary>What fails here is the caller's doing: a reset, a connection that ends, a body that is not what its headers say.</summary>
    private static async ValueTask<ReadResult> ReadBodyAsync(PipeReader body, CancellationToken cancellationToken)
    {
        try
        {
            return await body.ReadAsync(cancellationToken);
        }
        catch (IOException exception)
        {
            throw new CallerGoneException(exception);
        }
    }

    /// <summary>Kestrel refuses this, too, once the caller has reset the call; what was read before may then still be here.</summary>
    private static void Advance(PipeReader body, SequencePosition consumed, SequencePosition examined)
    {
        try
        {
            body.AdvanceTo(consumed, examined);
        }
        catch (IOException exception)
        {
            throw new CallerGoneException(exception);
        }
    }

    private bool TryReadFrame(ref ReadOnlySequence<byte> buffer, bool isLast, out ReadOnlySequence<byte> message)
    {
        FrameState state = MessageFrame.TryRead(ref buffer, _server.MaxReceiveMessageSize, out message, out uint length);
        return state switch
        {
            FrameState.Message => true,
            FrameState.CompressedMessage => throw new RpcException(RpcStatuses.CompressedWithoutEncoding),
            FrameState.InvalidFlag => throw new RpcException(RpcStatuses.FlagInvalid),
            FrameState.TooLong => throw TooLong(length),
            _ => isLast && !buffer.IsEmpty ? throw new RpcException(RpcStatuses.MessageTruncated) : false,
        };
    }

    private static TRequest Parse<TRequest>(MessageParser<TRequest> parser, ReadOnlySequence<byte> message)
        where TRequest : IMessage<TRequest>
    {
        try
        {
            return parser.ParseFrom(message);
        }
        catch (Exception exception) when (MalformedMessage.IsToldBy(exception))
        {
            throw new RpcException(RpcStatuses.MessageInvalid, innerException: exception);
        }
    }
}
