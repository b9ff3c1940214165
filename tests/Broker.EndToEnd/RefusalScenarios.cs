using BarBroker.Probe;

namespace BarBroker.EndToEnd;

/// <summary>Each wrong request has a status, a reason and a message of its own, and costs the broker nothing.</summary>
public sealed class RefusalScenarios(Machine machine)
{
    private const int Repetitions = 10;

    private static readonly Dictionary<string, Refusal> Refusals = new()
    {
        ["a window that is granted to somebody else"] = new("PermissionDenied", "NOT_GRANTED", client => client.AcquireAsync("vault")),
        ["a range outside of every granted area"] = new("PermissionDenied", "NOT_GRANTED", client => client.AcquireRangeAsync(0x50000, Machine.Page)),
        ["writing where reading is granted"] = new("PermissionDenied", "ACCESS_NOT_GRANTED", client => client.AcquireAsync("status")),
        ["a device that the policy doesn't name"] = new("NotFound", "DEVICE_UNKNOWN", client => client.AcquireAsync("left", device: "nowhere")),
        ["a window that the policy doesn't name"] = new("NotFound", "WINDOW_UNKNOWN", client => client.AcquireAsync("nowhere")),
        ["a BAR that the device doesn't have"] = new("NotFound", "BAR_UNKNOWN", client => client.AcquireRangeAsync(0, Machine.Page, bar: 5)),
        ["a BAR that no device has"] = new("InvalidArgument", "BAR_INVALID", client => client.AcquireRangeAsync(0, Machine.Page, bar: 6)),
        ["an unaligned offset"] = new("InvalidArgument", "RANGE_UNALIGNED", client => client.AcquireRangeAsync(Machine.AreaOffset + 4, Machine.Page)),
        ["an unaligned length"] = new("InvalidArgument", "RANGE_UNALIGNED", client => client.AcquireRangeAsync(Machine.AreaOffset, Machine.Page - 1)),
        ["no length"] = new("InvalidArgument", "RANGE_EMPTY", client => client.AcquireRangeAsync(Machine.AreaOffset, 0)),
        ["a range that wraps around"] = new(
            "InvalidArgument", "RANGE_OVERFLOW", client => client.AcquireRangeAsync(ulong.MaxValue - Machine.Page + 1, 2 * Machine.Page)),
        ["two ranges that overlap"] = new(
            "InvalidArgument",
            "RANGES_OVERLAP",
            client => client.AcquireRangesAsync((Machine.AreaOffset, 2 * Machine.Page), (Machine.AreaOffset + Machine.Page, Machine.Page))),
        ["65 ranges"] = new(
            "InvalidArgument",
            "RANGE_COUNT",
            client => client.AcquireRangesAsync([.. Enumerable.Range(0, 65).Select(i => (Machine.AreaOffset + ((ulong)i * Machine.Page), Machine.Page))])),
        ["one range of several outside of every granted area"] = new(
            "PermissionDenied", "NOT_GRANTED", client => client.AcquireRangesAsync((Machine.AreaOffset, Machine.Page), (0x50000, Machine.Page))),
        ["peer-to-peer and read-only"] = new("InvalidArgument", "P2P_READ_ONLY", client => client.AcquireAsync("left", writable: false, p2p: true)),
        ["a range past the BAR's end"] = new("OutOfRange", "RANGE_BEYOND_BAR", client => client.AcquireRangeAsync(Machine.BoardSize, Machine.Page)),
        ["a range that straddles the BAR's end"] = new(
            "OutOfRange", "RANGE_BEYOND_BAR", client => client.AcquireRangeAsync(Machine.BoardSize - Machine.Page, 2 * Machine.Page)),
    };

    public static TheoryData<string> Names => [.. Refusals.Keys];

    [Theory]
    [Trait(Only.Machine, Only.Either)]
    [MemberData(nameof(Names))]
    public Task A_wrong_request_is_refused_by_its_own_name(string name) => IsRefusedAsync(Refusals[name]);

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public Task The_interrupt_table_is_never_leased()
    {
        return IsRefusedAsync(new Refusal(
            "PermissionDenied", "RANGE_ON_MSIX", client => client.AcquireRangeAsync(0x2000, Machine.Page, writable: false, bar: 0, device: "nvme")));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task What_lies_before_the_interrupt_table_is_leased()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease registers = await alice.AcquireRangeAsync(0x1000, Machine.Page, writable: false, bar: 0, device: "nvme");
        Assert.Equal(Machine.Page, registers.Properties.Length);
    }

    [Fact]
    public async Task Every_message_is_different()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        Dictionary<string, string> reasonOf = [];
        foreach (Refusal refusal in Refusals.Values)
        {
            ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => refusal.Request(alice));
            Assert.NotEmpty(refused.Error.Message);
            string first = reasonOf.TryAdd(refused.Error.Message, refusal.Reason) ? refusal.Reason : reasonOf[refused.Error.Message];
            Assert.Equal(refusal.Reason, first);
        }
    }

    private async Task IsRefusedAsync(Refusal refusal)
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => refusal.Request(alice));
        Assert.Equal(("RpcException", refusal.Status, refusal.Reason), (refused.Error.Type, refused.Error.Status, refused.Error.Reason));

        // Connections of earlier scenarios may still be closing, so the count can fall meanwhile, but not rise.
        int before = machine.Broker.CountDescriptors();
        for (int i = 0; i < Repetitions; i++)
        {
            await Assert.ThrowsAsync<ProbeException>(() => refusal.Request(alice));
        }

        await Patience.UntilAsync(
            () => machine.Broker.CountDescriptors() <= before,
            () => $"the broker had {before} descriptors open before {Repetitions} refusals, now {machine.Broker.CountDescriptors()}");
    }

    private sealed record Refusal(string Status, string Reason, Func<Client, Task<ClientLease>> Request);
}
