using System.Text;
using System.Text.RegularExpressions;
using BarBroker.Grpc;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Policy;
using BarBroker.Rpc.BuiltIn;
using BarBroker.Rpc.Services;
using BarBroker.Transport.Redeem;
using BarBroker.V1;
using Google.Protobuf;

namespace BarBroker.Fuzz.Targets;

/// <summary>What the broker's services are asked, and its files.</summary>
internal static partial class RequestTargets
{
    private static readonly DescriptorIndex Index = CreateIndex();

    /// <summary>Only the exact form is one; and whoever can still become one was never refused before.</summary>
    internal static void ReadTicketPreface(byte[] input)
    {
        bool read = TicketPreface.TryRead(input, out TicketSecret secret);
        Demand(read == Ticket().IsMatch(Encoding.Latin1.GetString(input)), $"It was {(read ? "taken" : "refused")}.");
        if (read)
        {
            Demand(secret.Reveal() == Encoding.ASCII.GetString(input[7..^1]), "Another ticket was read.");
            Demand(Enumerable.Range(0, input.Length).All(length => TicketPreface.IsBeginning(input.AsSpan(0, length))), "Its beginning was refused.");
        }
    }

    /// <summary>Whatever is asked, the answer repeats the question and has an error or what was asked for.</summary>
    internal static void AnswerReflection(byte[] input)
    {
        if (Parse(ServerReflectionRequest.Parser, input) is not { } request)
        {
            return;
        }

        ServerReflectionResponse answer = Index.Answer(request);
        Demand(answer.OriginalRequest.Equals(request), "It answered another question.");
        Demand(answer.MessageResponseCase != ServerReflectionResponse.MessageResponseOneofCase.None, "It has no answer.");
        _ = ServerReflectionResponse.Parser.ParseFrom(answer.ToByteArray());
    }

    /// <summary>Any request is something that can be leased, or INVALID_ARGUMENT with the field to correct.</summary>
    internal static void ReadAcquire(byte[] input)
    {
        if (Parse(AcquireRequest.Parser, input) is not { } request)
        {
            return;
        }

        try
        {
            LeaseTarget target = RequestReader.ReadTarget(request);
            RequestReader.CheckP2P(request.P2P, RequestReader.ReadAccess(request.Access), target);
            Demand(target.Device == request.Device && target.ToString() is not null, "It is of another device.");
            _ = RequestReader.ReadTicketDelivery(request.Delivery);
        }
        catch (RpcException exception)
        {
            Demand(exception.GetReason() is not null, "It has no reason.");
            Demand(
                exception.StatusCode == (exception.GetReason()!.StartsWith("DELIVERY_", StringComparison.Ordinal) ? exception.StatusCode : StatusCode.InvalidArgument),
                $"It is {exception.Status}.");
            Demand(exception.StatusCode != StatusCode.InvalidArgument || exception.GetFieldViolations().Count > 0, $"'{exception.Status.Detail}' names no field.");
            Demand(exception.StatusCode is StatusCode.InvalidArgument or StatusCode.FailedPrecondition or StatusCode.Unimplemented, $"It is {exception.Status}.");
        }
    }

    /// <summary>A policy, or an error with a place in the file.</summary>
    internal static void ReadPolicy(byte[] input)
    {
        try
        {
            _ = PolicyReader.Read(input, "policy.json");
        }
        catch (PolicyException exception)
        {
            Demand(exception.Message.Contains("policy.json", StringComparison.Ordinal), $"'{exception.Message}' says nothing of the file.");
        }
    }

    private static T? Parse<T>(MessageParser<T> parser, byte[] input)
        where T : class, IMessage<T>
    {
        try
        {
            return parser.ParseFrom(input);
        }
        catch (Exception exception) when (MalformedMessage.IsToldBy(exception))
        {
            return null;
        }
    }

    private static DescriptorIndex CreateIndex()
    {
        DescriptorIndex index = new();
        index.Add(BrokerReflection.Descriptor.Services[0]);
        index.Add(ReflectionReflection.Descriptor.Services[0]);
        return index;
    }

    private static void Demand(bool holds, string complaint)
    {
        if (!holds)
        {
            throw new FuzzFault(complaint);
        }
    }

    [GeneratedRegex(@"\ABARFD1 [0-9a-f]{32}\n\z")]
    private static partial Regex Ticket();
}
