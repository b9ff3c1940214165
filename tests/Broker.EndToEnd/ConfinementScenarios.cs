namespace BarBroker.EndToEnd;

/// <summary>Nothing that a client does with its descriptor widens its range or raises its access.</summary>
public sealed class ConfinementScenarios(Machine machine)
{
    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_read_only_lease_can_be_read()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        await status.MapAsync();
        Assert.Equal(Machine.Identification, await status.ReadAsync(0));
        Assert.Equal(0, await status.RawMapAsync(Machine.Page));
    }

    [Fact]
    public async Task A_read_only_lease_can_not_be_mapped_writable()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        Assert.Equal(Errno.AccessDenied, await status.RawMapAsync(Machine.Page, writable: true));
    }

    [Fact]
    public async Task A_read_only_mapping_can_not_be_made_writable()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        Assert.Equal(Errno.AccessDenied, await status.RawProtectAsync());
    }

    [Fact]
    public async Task A_read_only_lease_can_not_be_reopened_writable()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease status = await alice.AcquireAsync("status", writable: false);

        Assert.Equal(Errno.AccessDenied, await status.RawReopenAsync());
    }

    [Fact]
    public async Task A_read_only_lease_can_not_be_written_to()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease status = await alice.AcquireAsync("status", writable: false);
        await status.MapAsync();

        Assert.Equal(Errno.BadDescriptor, await status.RawWriteAsync());
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => status.WriteAsync(0, 1));
        Assert.Equal("InvalidOperationException", refused.Error.Type);
        Assert.Equal(Machine.Identification, await status.ReadAsync(0));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_read_write_lease_can_be_mapped_writable()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        Assert.Equal(0, await left.RawMapAsync(16 * Machine.Page, writable: true));
        Assert.Equal(0, await left.RawMapAsync(Machine.Page, offset: 15 * Machine.Page, writable: true));
        Assert.Equal(0, await left.RawProtectAsync());
    }

    [Theory]
    [Trait(Only.Machine, Only.Real)]
    [InlineData(0, 17)]
    [InlineData(15, 2)]
    [InlineData(16, 1)]
    [InlineData(0x10000, 1)]
    public async Task A_mapping_beyond_the_lease_is_refused(uint firstPage, uint pages)
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        Assert.Equal(Errno.Invalid, await left.RawMapAsync(pages * Machine.Page, offset: firstPage * Machine.Page));
        Assert.Equal(0, await left.RawMapAsync(16 * Machine.Page));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task An_unprivileged_user_can_not_reach_the_admins_socket()
    {
        ProbeException refused = await Assert.ThrowsAsync<ProbeException>(() => machine.ConnectAsync(Users.Alice, machine.Broker.AdminSocket));
        Assert.Equal(("RpcException", "Unavailable"), (refused.Error.Type, refused.Error.Status));
        Assert.Contains(machine.Broker.AdminSocket, refused.Error.Message, StringComparison.Ordinal);
        Assert.Contains("owner", refused.Error.Message, StringComparison.Ordinal);
    }
}
