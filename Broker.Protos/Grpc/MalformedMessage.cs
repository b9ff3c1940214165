using Google.Protobuf;

namespace BarBroker.Grpc;

/// <summary>What parsing throws where bytes are no message.</summary>
internal static class MalformedMessage
{
    /// <summary>
    /// Also where a nested message says that it is longer than 31 bits can count: the parser then runs past the end of its buffer, and is stopped
    /// by the array, or by a slice of it.
    /// </summary>
    internal static bool IsToldBy(Exception exception) =>
        exception is InvalidProtocolBufferException or IndexOutOfRangeException or ArgumentOutOfRangeException;
}
