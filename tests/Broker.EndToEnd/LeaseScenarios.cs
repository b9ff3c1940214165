using BarBroker.Probe;

namespace BarBroker.EndToEnd;

public sealed class LeaseScenarios(Machine machine)
{
    [Fact]
    public async Task A_lease_of_a_window_maps_exactly_that_window()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        Assert.Equal(("left", 0UL, 16 * Machine.Page, "ReadWrite", true), Shape(left.Properties));
        Assert.Equal(Machine.IsReal ? "Uncached" : "Cached", left.Properties.MemoryType);

        await left.MapAsync();
        Assert.Equal(Machine.Identification, await left.ReadAsync(0));
        Assert.Equal(15UL, await left.ReadAsync((15 * Machine.Page) + Machine.PageNumberRegister));
    }

    [Fact]
    public async Task A_lease_of_a_range_starts_where_the_client_asked()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease range = await alice.AcquireRangeAsync(Machine.AreaOffset + (3 * Machine.Page), 2 * Machine.Page);
        Assert.Equal((null, Machine.AreaOffset + (3 * Machine.Page), 2 * Machine.Page, "ReadWrite", true), Shape(range.Properties));

        await range.MapAsync();
        Assert.Equal((Machine.AreaOffset / Machine.Page) + 3, await range.ReadAsync(Machine.PageNumberRegister));
    }

    [Theory]
    [Trait(Only.Machine, Only.Either)]
    [InlineData(8, 0xa5UL)]
    [InlineData(16, 0xbeefUL)]
    [InlineData(32, 0xdeadbeefUL)]
    [InlineData(64, 0x0123456789abcdefUL)]
    public async Task What_is_written_is_read_back(int width, ulong value)
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();
        await left.WriteAsync(0x100, ulong.MaxValue, width: 64);
        await left.WriteAsync(0x100, value, width);

        Assert.Equal(value, await left.ReadAsync(0x100, width));
        ulong untouched = width == 64 ? 0 : ulong.MaxValue << width;
        Assert.Equal(untouched | value, await left.ReadAsync(0x100, width: 64));
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task An_access_past_the_mapping_throws_and_the_lease_goes_on()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease left = await alice.AcquireAsync("left");
        await left.MapAsync();

        ProbeException past = await Assert.ThrowsAsync<ProbeException>(() => left.ReadAsync(16 * Machine.Page));
        Assert.Equal("ArgumentOutOfRangeException", past.Error.Type);
        Assert.Equal(Machine.Identification, await left.ReadAsync(0));
    }

    [Fact]
    public async Task A_released_window_can_be_leased_again()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease first = await alice.AcquireAsync("left");
        await first.ReleaseAsync();

        ClientLease second = await alice.AcquireAsync("left");
        await second.MapAsync();
        Assert.Equal(Machine.Identification, await second.ReadAsync(0));
        Assert.NotEqual(first.Properties.Id, second.Properties.Id);
    }

    [Fact]
    [Trait(Only.Machine, Only.Either)]
    public async Task A_client_is_shown_what_it_is_granted_and_nothing_else()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        string shown = await alice.ListDevicesAsync();
        Assert.Contains("board: left status", shown, StringComparison.Ordinal);
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task What_one_client_wrote_the_next_holder_of_the_range_reads()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease first = await alice.AcquireRangeAsync(Machine.AreaOffset, Machine.Page);
        await first.MapAsync();
        await first.WriteAsync(0x200, 0xfeedface);
        await first.ReleaseAsync();

        await using Client bob = await machine.ConnectAsync(Users.Bob);
        ClientLease second = await bob.AcquireRangeAsync(Machine.AreaOffset, Machine.Page);
        await second.MapAsync();
        Assert.Equal(0xfeedfaceUL, await second.ReadAsync(0x200));
    }

    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task The_identification_register_of_a_live_device_can_be_read()
    {
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease edu = await alice.AcquireAsync("identification", writable: false, device: "edu");
        await edu.MapAsync();
        Assert.Equal(0x010000edUL, await edu.ReadAsync(0));
    }

    // The other half is in tests/run.sh, which looks into the backing file once the machine is off.
    [Fact]
    [Trait(Only.Machine, Only.Real)]
    public async Task What_a_client_writes_reaches_the_device()
    {
        const ulong Offset = Machine.AreaOffset + Machine.AreaLength - Machine.Page;
        await using Client alice = await machine.ConnectAsync(Users.Alice);
        ClientLease lease = await alice.AcquireRangeAsync(Offset, Machine.Page);
        await lease.MapAsync();
        await lease.WriteAsync(0x300, 0xc0ffee11);

        await File.WriteAllTextAsync(Path.Combine(Stage.Results, "written-through-a-lease"), $"{Offset + 0x300} c0ffee11\n", TestContext.Current.CancellationToken);
        Assert.Equal(0xc0ffee11UL, await lease.ReadAsync(0x300));
    }

    private static (string? Window, ulong Offset, ulong Length, string Access, bool Exclusive) Shape(ProbeLease lease)
    {
        string? window = string.IsNullOrEmpty(lease.Window) ? null : lease.Window;
        return (window, lease.Offset, lease.Length, lease.Access, lease.Exclusive);
    }
}
