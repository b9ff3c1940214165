using System.Text.Json.Nodes;
using BarBroker.Probe;

namespace BarBroker.EndToEnd.Harness;

/// <summary>A lease that waits to be fetched.</summary>
internal sealed record WaitingLease(ulong Id, string Secret, ulong Inode)
{
    /// <summary>Acquires on a connection that is closed before this returns. The ticket is good as long as the probe lives.</summary>
    internal static async Task<WaitingLease> AcquireAsync(ProbeProcess probe, string socket, string window)
    {
        JsonNode answer = await probe.CallAsync(
            socket,
            "barbroker.v1.Broker/Acquire",
            $$"""{"device": "{{Machine.Board}}", "window": "{{window}}", "access": "ACCESS_READ_WRITE", "delivery": "DELIVERY_TICKET"}""");
        JsonNode ticket = answer["ticket"]!;
        return new WaitingLease(Number(answer["lease"]!["leaseId"]!), (string)ticket["secret"]!, Number(ticket["inode"]!));
    }

    // protobuf's JSON has 64-bit numbers as text.
    private static ulong Number(JsonNode value) => ulong.Parse((string)value!, System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>A probe's connection that came with a ticket.</summary>
internal sealed class RedeemedLease(ProbeProcess probe, int connection, string answer)
{
    /// <summary>The broker's byte.</summary>
    internal string Answer => answer;

    internal static async Task<RedeemedLease> RedeemAsync(ProbeProcess probe, string socket, string secret)
    {
        ProbeReply reply = await probe.AskAsync(new ProbeRequest { Operation = ProbeOperation.Redeem, Socket = socket, Secret = secret });
        return new RedeemedLease(probe, (int)reply.Value, reply.Text!);
    }

    internal async Task<ulong> InodeAsync() => (await AskAsync(ProbeOperation.RedeemedInode)).Value;

    internal async Task<ulong> ReadAsync() => (await AskAsync(ProbeOperation.RedeemedRead)).Value;

    internal Task EndAsync() => AskAsync(ProbeOperation.AwaitRedeemedEnd);

    internal Task CloseAsync() => AskAsync(ProbeOperation.CloseRedeemed);

    private Task<ProbeReply> AskAsync(ProbeOperation operation) => probe.AskAsync(new ProbeRequest { Operation = operation, Connection = connection });
}
