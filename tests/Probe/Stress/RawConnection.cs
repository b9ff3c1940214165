using System.Buffers;
using System.Buffers.Binary;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text;
using BarBroker.Grpc;
using BarBroker.Tests.Grpc;
using BarBroker.Unix;
using BarBroker.V1;
using Google.Protobuf;

namespace BarBroker.Probe;

/// <summary>A bare socket with many calls under way, of which nothing is read until it is asked to, and then in pieces of any size.</summary>
internal sealed class RawConnection : IDescriptorSink, IDisposable
{
    /// <summary>Of any window: as much as HTTP/2 has, so that the socket is what fills.</summary>
    private const uint Window = int.MaxValue;

    private const int FrameHeaderSize = 9;

    private static readonly byte[] Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray();

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly FrameSocket _frames;
    private readonly List<OwnedDescriptor> _descriptors = [];
    private readonly Dictionary<uint, ulong> _acquires = [];
    private readonly Dictionary<uint, List<byte>> _bodies = [];
    private readonly List<byte> _unparsed = [];
    private readonly HashSet<uint> _open = [];
    private uint _nextStream = 1;

    internal RawConnection(string path)
    {
        _socket.Connect(new UnixDomainSocketEndPoint(path));
        _frames = new FrameSocket(_socket);
        _frames.AddRaw(Preface);

        // No table for header compression: the text of a status then stands in the frames as it is.
        byte[] settings = new byte[12];
        BinaryPrimitives.WriteUInt16BigEndian(settings, 1);
        BinaryPrimitives.WriteUInt16BigEndian(settings.AsSpan(6), 4);
        BinaryPrimitives.WriteUInt32BigEndian(settings.AsSpan(8), Window);
        _frames.Add(FrameType.Settings, 0, 0, settings);
        byte[] more = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32BigEndian(more, Window - ushort.MaxValue);
        _frames.Add(FrameType.WindowUpdate, 0, 0, more);
    }

    /// <summary>The most bytes that were seen waiting to be read.</summary>
    internal int MostWaiting { get; private set; }

    /// <summary>Texts of the Acquires that failed.</summary>
    internal List<string> Refusals { get; } = [];

    internal void AddAcquire(ProbeRequest request, ulong offset)
    {
        _acquires.Add(_nextStream, offset);
        AddCall("/barbroker.v1.Broker/Acquire", CheckedPage.Request(request, offset));
    }

    internal void AddLargeReply() => AddCall("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", StreamLoad.Question);

    /// <summary>Sends all calls in one piece.</summary>
    internal void Flush() => _frames.Flush();

    /// <summary>Reads until every call is over.</summary>
    /// <param name="size">Bytes of one read.</param>
    internal async Task ReadAllAsync(int size)
    {
        byte[] buffer = new byte[size];
        for (long reads = 0; _open.Count > 0; reads++)
        {
            if (reads % 1024 == 0)
            {
                MostWaiting = Math.Max(MostWaiting, _socket.Available);
            }

            int received = DescriptorSocket.TryReceive(_socket.SafeHandle, buffer, this);
            if (received == DescriptorSocket.WouldBlock)
            {
                await _socket.ReceiveAsync(Memory<byte>.Empty, SocketFlags.None);
                continue;
            }

            if (received == 0)
            {
                throw new InvalidDataException($"The broker closed the connection with {_open.Count} calls under way.");
            }

            _unparsed.AddRange(buffer.AsSpan(0, received));
            Parse();
        }
    }

    /// <summary>Checks the page of every Acquire that succeeded. All descriptors must belong to one.</summary>
    internal List<CheckedPage> TakePages()
    {
        List<CheckedPage> pages = [];
        HashSet<ulong> taken = [];
        foreach ((uint stream, ulong offset) in _acquires)
        {
            if (!_bodies.TryGetValue(stream, out List<byte>? body))
            {
                continue;
            }

            ReadOnlySequence<byte> frame = new(body.ToArray());
            if (MessageFrame.TryRead(ref frame, body.Count, out ReadOnlySequence<byte> message, out _) != FrameState.Message)
            {
                throw new InvalidDataException($"Call {stream} was not answered with a message.");
            }

            AcquireResponse reply = AcquireResponse.Parser.ParseFrom(message);
            if (!taken.Add(reply.InBand.FdSerial))
            {
                throw new InvalidDataException($"Descriptor {reply.InBand.FdSerial} was promised twice.");
            }

            pages.Add(CheckedPage.Take(_descriptors[(int)reply.InBand.FdSerial], reply, offset));
        }

        return taken.Count == _descriptors.Count
            ? pages
            : throw new InvalidDataException($"{_descriptors.Count} descriptors came, and {taken.Count} replies name one.");
    }

    public void Dispose()
    {
        _frames.Dispose();
        _descriptors.ForEach(descriptor => descriptor.Dispose());
    }

    void IDescriptorSink.Received(OwnedDescriptor descriptor) => _descriptors.Add(descriptor);

    void IDescriptorSink.Lost() => throw new InvalidDataException("A descriptor was lost, with room in the table.");

    private void AddCall(string path, IMessage request)
    {
        _frames.AddHeaders(
            _nextStream,
            0,
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            (GrpcProtocol.ContentTypeHeader, GrpcProtocol.ContentType));
        ArrayBufferWriter<byte> frame = new();
        MessageFrame.Write(frame, request);
        _frames.Add(FrameType.Data, Frame.EndStream, _nextStream, frame.WrittenSpan);
        _open.Add(_nextStream);
        _nextStream += 2;
    }

    private void Parse()
    {
        while (_unparsed.Count >= FrameHeaderSize)
        {
            ReadOnlySpan<byte> header = CollectionsMarshal.AsSpan(_unparsed);
            int length = (int)(BinaryPrimitives.ReadUInt32BigEndian(header) >> 8);
            if (header.Length < FrameHeaderSize + length)
            {
                return;
            }

            byte[] payload = header.Slice(FrameHeaderSize, length).ToArray();
            Take(new Frame((FrameType)header[3], header[4], BinaryPrimitives.ReadUInt32BigEndian(header[5..]), payload));
            _unparsed.RemoveRange(0, FrameHeaderSize + length);
        }
    }

    private void Take(Frame frame)
    {
        switch (frame.Type)
        {
            case FrameType.Data when _acquires.ContainsKey(frame.Stream) && frame.Payload.Length > 0:
                if (!_bodies.TryGetValue(frame.Stream, out List<byte>? body))
                {
                    _bodies.Add(frame.Stream, body = []);
                }

                body.AddRange(frame.Payload);
                break;
            case FrameType.Headers when frame.EndsStream && _acquires.ContainsKey(frame.Stream) && !_bodies.ContainsKey(frame.Stream):
                Refusals.Add(Encoding.ASCII.GetString(frame.Payload));
                break;
            case FrameType.ResetStream when frame.ErrorCode != 0:
                throw new InvalidDataException($"The broker reset call {frame.Stream} with HTTP/2 error {frame.ErrorCode}.");
            case FrameType.GoAway:
                throw new InvalidDataException($"The broker said GOAWAY: {Encoding.ASCII.GetString(frame.Payload.AsSpan(8))}");
            default:
                break;
        }

        if (frame.EndsStream)
        {
            _open.Remove(frame.Stream);
        }
    }
}
