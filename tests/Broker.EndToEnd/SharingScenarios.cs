using BarBroker.Probe;

namespace BarBroker.EndToEnd;

public sealed class SharingScenarios(Machine machine)
{
    [Fact]
    public async Task Two_users_hold_neighbouring_windows_of_one_BAR()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");
        ClientLease right = await bob.AcquireAsync("right");
        await left.MapAsync();
        await right.MapAsync();
        ulong last = (16 * Machine.Page) - sizeof(uint);
        await left.WriteAsync(last, 0x11111111);
        await right.WriteAsync(0x10, 0x22222222);

        Assert.Equal(0x11111111UL, await left.ReadAsync(last));
        Assert.Equal(0x22222222UL, await right.ReadAsync(0x10));
        Assert.Equal(16UL, await right.ReadAsync(Machine.PageNumberRegister));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_range_that_overlaps_an_exclusive_lease_is_refused_until_that_ends()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease left = await alice.AcquireAsync("left");

        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => bob.AcquireAsync("middle"));
        Assert.Equal(("FailedPrecondition", "RANGE_LEASED"), (refused.Error.Status, refused.Error.Reason));

        await left.ReleaseAsync();
        ClientLease middle = await bob.AcquireAsync("middle");
        await middle.MapAsync();
        Assert.Equal(15UL, await middle.ReadAsync(Machine.PageNumberRegister));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_lease_ends_with_its_connection()
    {
        await using Client bob = await machine.ConnectAsync(Users.Bob);
        Task ended;
        await using (Client alice = await machine.ConnectAsync(Users.Alice))
        {
            ClientLease left = await alice.AcquireAsync("left");
            ended = machine.Broker.HearEndOfAsync(left.Properties.Id);
        }

        await ended;
        await bob.AcquireAsync("middle");
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_lease_can_not_be_released_by_another_connection()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();

        BufError error = await Buf.FailAsync(
            Users.Alice, machine.Broker.ClientSocket, "barbroker.v1.Broker/Release", $$"""{"leaseId": "{{left.Properties.Id}}"}""");
        Assert.Equal(("not_found", "LEASE_UNKNOWN"), (error.Code, error.Reason));
        Assert.Equal(Machine.Identification, await left.ReadAsync(0));
    }
}
