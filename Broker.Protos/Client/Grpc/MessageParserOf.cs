using Google.Protobuf;

namespace BarBroker.Client.Grpc;

/// <summary>One parser for each type of message.</summary>
internal static class MessageParserOf<T>
    where T : IMessage<T>, new()
{
    internal static readonly MessageParser<T> Instance = new(static () => new T());
}
