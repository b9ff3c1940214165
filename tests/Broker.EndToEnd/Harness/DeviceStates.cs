using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary>How an admin sees devices.</summary>
internal static class DeviceStates
{
    internal static async Task<string> OfAsync(BrokerProcess broker, string device)
    {
        JsonNode answer = await Buf.CallAsync(broker.AdminSocket, "barbroker.v1.Admin/ListDevices", "{}");
        return (string)answer["devices"]!.AsArray().Single(found => (string)found!["device"]! == device)!["state"]!;
    }
}
