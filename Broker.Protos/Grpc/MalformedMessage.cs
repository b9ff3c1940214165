using Google.Protobuf;

namespace BarBroker.Grpc;

/// <summary>What parsing throws where bytes are no message.</summary>
internal static class MalformedMessage
{
    /// <summary>
    /// Also of a nested message whose length is beyond 31 bits: the parser then runs past the end of its buffer, and an array stops it.
    /// </summary>
    internal static bool IsToldBy(Exception exception) => exception is InvalidProtocolBufferException or IndexOutOfRangeException;
}
