using System.Text.Json.Nodes;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// What all scenarios share: a broker with one policy, and a probe per user. On the simulated device, or in the virtual
/// machine on real ones when BAR_BROKER_VM_IVSHMEM, _EDU and _NVME name them.
/// </summary>
public sealed class Machine : IAsyncLifetime
{
    /// <summary>The device that every scenario has: plain memory, with an identification in every page.</summary>
    internal const string Board = "board";

    /// <summary>Its BAR that is leased.</summary>
    internal const int BoardBar = 2;

    /// <summary>The identification: on the simulated device its own, in the virtual machine written to the backing file before the boot.</summary>
    internal const uint Identification = 0x00b12b0c;

    /// <summary>Where every page has its number.</summary>
    internal const ulong PageNumberRegister = 4;

    /// <summary>The area of free ranges, which Alice and Bob may lease read-write.</summary>
    internal const ulong AreaOffset = 0x80000;

    internal const ulong AreaLength = 0x80000;

    internal const ulong Page = 4096;

    private readonly Dictionary<int, ProbeProcess> _probes = [];
    private BrokerProcess? _broker;

    /// <summary>The broker that scenarios share. One that ends it restarts it.</summary>
    internal BrokerProcess Broker => _broker!;

    /// <summary>The device is a real one, behind VFIO and the kernel module.</summary>
    internal static bool IsReal => IvshmemAddress is not null;

    /// <summary>Bytes of <see cref="BoardBar"/>.</summary>
    internal static ulong BoardSize => IsReal ? 64UL << 20 : 1UL << 20;

    private static string? IvshmemAddress => Environment.GetEnvironmentVariable("BAR_BROKER_VM_IVSHMEM");

    /// <inheritdoc/>
    public async ValueTask InitializeAsync() => _broker = await BrokerProcess.StartAsync(Policy, Users.Root);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        foreach (ProbeProcess probe in _probes.Values)
        {
            await probe.DisposeAsync();
        }

        if (_broker is not null)
        {
            await _broker.DisposeAsync();
        }
    }

    /// <summary>A new broker, after a scenario that ended the shared one: which had the devices until then.</summary>
    /// <param name="user">Root, or who it is to run as.</param>
    internal async Task RestartBrokerAsync(int user = Users.Root)
    {
        if (_broker is { } old)
        {
            // There is none if the next one does not start.
            _broker = null;
            await old.DisposeAsync();
        }

        _broker = await BrokerProcess.StartAsync(Policy, user);
    }

    /// <summary>A new connection to the shared broker, from the user's long-lived probe.</summary>
    internal Task<Client> ConnectAsync(int user) => ConnectAsync(user, Broker.ClientSocket);

    /// <summary>The same, to another socket.</summary>
    internal Task<Client> ConnectAsync(int user, string socket) => ProbeOf(user).ConnectAsync(socket);

    /// <summary>An admin's call, by a probe: a foreign client, as <see cref="Buf"/>, takes seconds to start under emulation.</summary>
    internal Task<JsonNode> AdministrateAsync(string method, string request) => ProbeOf(Users.Root).CallAsync(Broker.AdminSocket, method, request);

    /// <summary>How an admin sees a device: its DeviceState.</summary>
    internal async Task<string> StateOfAsync(string device)
    {
        JsonNode answer = await AdministrateAsync("barbroker.v1.Admin/ListDevices", "{}");
        return (string)answer["devices"]!.AsArray().Single(found => (string)found!["device"]! == device)!["state"]!;
    }

    /// <summary>A service's ServingStatus: of a device (<c>device/NAME</c>), or of the broker itself (empty).</summary>
    internal async Task<string> HealthOfAsync(string service)
        => (string)(await AdministrateAsync("grpc.health.v1.Health/Check", $$"""{"service": "{{service}}"}"""))["status"]!;

    private ProbeProcess ProbeOf(int user)
    {
        if (!_probes.TryGetValue(user, out ProbeProcess? probe) || probe.HasEnded)
        {
            _probes[user] = probe = ProbeProcess.Start(user);
        }

        return probe;
    }

    private static string Policy(string runtimeDirectory) => $$"""
        {
          "runtimeDirectory": "{{runtimeDirectory}}",
          "clientGroup": "{{Users.ClientGroup}}",
          "devices": {
            "{{Board}}": {
              {{(IsReal ? $"\"address\": \"{IvshmemAddress}\"" : $"\"simulated\": {{ \"bars\": {{ \"{BoardBar}\": {BoardSize} }} }}")}},
              "windows": {
                "left":   { "bar": {{BoardBar}}, "offset": 0, "length": "64KiB" },
                "right":  { "bar": {{BoardBar}}, "offset": "64KiB", "length": "64KiB" },
                "middle": { "bar": {{BoardBar}}, "offset": "0xf000", "length": "8KiB" },
                "status": { "bar": {{BoardBar}}, "offset": "0x30000", "length": "4KiB" },
                "vault":  { "bar": {{BoardBar}}, "offset": "0x40000", "length": "4KiB" },
                "pair":   { "bar": {{BoardBar}}, "ranges": [{ "offset": "0x62000", "length": "8KiB" }, { "offset": "0x60000", "length": "4KiB" }] },
                "frames": { "bar": {{BoardBar}}, "offset": "0x68000", "length": "8KiB" },
                "common": { "bar": {{BoardBar}}, "offset": "0x6c000", "length": "8KiB" },
                "peer":   { "bar": {{BoardBar}}, "offset": "0x70000", "length": "4KiB" },
                "common-frames": { "bar": {{BoardBar}}, "offset": "0x6d000", "length": "8KiB" },
                "bell-{0..3}": { "bar": {{BoardBar}}, "offset": "0x31000", "length": "4KiB", "stride": "4KiB" },
                {{(IsReal ? LargeWindows : string.Empty)}}
              },
            },
            {{(IsReal ? RealDevices : string.Empty)}}
          },
          "grants": [
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["left"], "access": "read-write" },
            { "uid": {{Users.Bob}}, "device": "{{Board}}", "windows": ["right", "middle"], "access": "read-write" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["status"], "access": "read-only" },
            { "uid": {{Users.Carol}}, "device": "{{Board}}", "windows": ["vault"], "access": "read-write" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "areas": [{{Area}}], "access": "read-write" },
            { "uid": {{Users.Bob}}, "device": "{{Board}}", "areas": [{{Area}}], "access": "read-write" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["pair"], "access": "read-write" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["frames"], "access": "read-write", "memory": "write-combining" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["common"], "access": "read-write", "exclusive": false },
            { "uid": {{Users.Bob}}, "device": "{{Board}}", "windows": ["common"], "access": "read-write", "exclusive": false },
            { "uid": {{Users.Bob}}, "device": "{{Board}}", "windows": ["common-frames"], "access": "read-write", "exclusive": false, "memory": "write-combining" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["bell-?"], "access": "read-write", "maxLeases": 2 },
            { "allOf": [{ "uid": {{Users.Erin}} }, { "gid": {{Users.ClientGroup}} }], "device": "{{Board}}", "windows": ["bell-3"], "access": "read-only" },
            {{(IsReal ? RealGrants : string.Empty)}}
          ],
        }
        """;

    private static string Area => $$"""{ "bar": {{BoardBar}}, "offset": {{AreaOffset}}, "length": {{AreaLength}} }""";

    // What takes a BAR of 64 MiB.
    private static string LargeWindows => $$"""
        "all":   { "bar": {{BoardBar}}, "offset": 0, "length": "64MiB" },
                "banks": { "bar": {{BoardBar}}, "ranges": [
                  { "offset": "33MiB", "length": "1MiB" }, { "offset": "16MiB", "length": "4MiB" },
                  { "offset": "36MiB", "length": "3MiB" }, { "offset": "42MiB", "length": "2MiB" }] },
        """;

    private static string RealDevices => $$"""
        "edu": {
              "address": "{{Environment.GetEnvironmentVariable("BAR_BROKER_VM_EDU")}}",
              "windows": { "identification": { "bar": 0, "offset": 0, "length": "4KiB" } },
            },
            "nvme": {
              "address": "{{Environment.GetEnvironmentVariable("BAR_BROKER_VM_NVME")}}",
              "windows": { "controller": { "bar": 0, "offset": 0, "length": "4KiB" } },
            },
        """;

    private static string RealGrants => $$"""
        { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["all", "banks"], "access": "read-write" },
            { "uid": {{Users.Alice}}, "device": "{{Board}}", "windows": ["peer"], "access": "read-write", "p2p": true },
            { "uid": {{Users.Alice}}, "device": "edu", "windows": ["identification"], "access": "read-only" },
            { "uid": {{Users.Alice}}, "device": "nvme", "areas": [{ "bar": 0, "offset": 0, "length": "16KiB" }], "access": "read-only" },
        """;
}
