using System.Buffers.Binary;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Hosting;
using BarBroker.Policy;
using BarBroker.Tests.Leases;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class PciIdentityTests : IDisposable
{
    private const ulong Serial = 0x001517ffffabcdef;

    private readonly DirectoryInfo _root = Directory.CreateTempSubdirectory("pci-");

    private PciSysfs Sysfs => new(_root.FullName);

    public void Dispose() => _root.Delete(recursive: true);

    [Fact]
    public void A_function_is_found_by_its_serial_number_wherever_it_sits()
    {
        Add("0000:01:00.0", "8086", "0a54", Space(Serial - 1));
        Add("0000:5e:00.0", "8086", "0a54", Space(Serial));
        Add("0000:5f:00.0", "144d", "0a54", Space(Serial));

        Assert.Equal("0000:5e:00.0", Sysfs.Find(new PciIdentity(0x8086, 0x0a54, Serial)).ToString());
    }

    [Fact]
    public void The_only_one_of_its_kind_needs_no_serial_number()
    {
        Add("0000:01:00.0", "8086", "0a54", new byte[64]);
        Add("0000:02:00.0", "8086", "0a55", new byte[64]);

        Assert.Equal("0000:01:00.0", Sysfs.Find(new PciIdentity(0x8086, 0x0a54, null)).ToString());
    }

    [Fact]
    public void Several_of_a_kind_are_listed_with_what_tells_them_apart()
    {
        Add("0000:01:00.0", "8086", "0a54", Space(Serial));
        Add("0000:02:00.0", "8086", "0a54", Space(Serial));
        Add("0000:03:00.0", "8086", "0a54", new byte[4096]);
        Add("0000:04:00.0", "8086", "0a54", new byte[64]);

        Assert.Equal(
            "4 PCI functions are 8086:0a54: 0000:01:00.0 (serial 00-15-17-ff-ff-ab-cd-ef), 0000:02:00.0 (serial 00-15-17-ff-ff-ab-cd-ef), "
            + "0000:03:00.0 (without serial), 0000:04:00.0 (whose serial takes CAP_SYS_ADMIN to read). Name one of them by its \"serial\", or by its \"address\".",
            Refusal(null, isAbsent: false));
        Assert.StartsWith("2 PCI functions are 8086:0a54 with serial 00-15-17-ff-ff-ab-cd-ef: ", Refusal(Serial, isAbsent: false), StringComparison.Ordinal);
    }

    [Fact]
    public void A_serial_number_that_no_function_has_is_told_with_those_that_there_are()
    {
        Add("0000:01:00.0", "8086", "0a54", Space(Serial - 1));

        Assert.Equal(
            "No PCI function is 8086:0a54 with serial 00-15-17-ff-ff-ab-cd-ef. Of 8086:0a54 there are: 0000:01:00.0 (serial 00-15-17-ff-ff-ab-cd-ee).",
            Refusal(Serial, isAbsent: true));
    }

    [Fact]
    public void A_kind_that_there_is_none_of_is_told_with_what_VFIO_has()
    {
        Assert.EndsWith("Nothing is bound to vfio-pci.", Refusal(null, isAbsent: true), StringComparison.Ordinal);

        Add("0000:01:00.0", "8086", "0a55", Space(Serial));
        File.CreateSymbolicLink(PathOf("0000:01:00.0", "driver"), "../../../../bus/pci/drivers/vfio-pci");
        Add("0000:02:00.0", "8086", "0a56", Space(Serial));

        Assert.Equal(
            "There is no PCI function 8086:0a54: lspci -Dn lists what there is. Bound to vfio-pci are: 0000:01:00.0 (8086:0a55, serial 00-15-17-ff-ff-ab-cd-ef).",
            Refusal(null, isAbsent: true));
    }

    [Fact]
    public void A_list_of_capabilities_that_leads_nowhere_has_no_serial_number_and_an_end()
    {
        byte[] loop = new byte[4096];
        Put(loop, 0x100, id: 0x0001, next: 0x140);
        Put(loop, 0x140, id: 0x0002, next: 0x100);
        byte[] last = new byte[4096];
        Put(last, 0x100, id: 0x0001, next: 0xffc);
        Put(last, 0xffc, id: 0x0003, next: 0);
        byte[] header = new byte[4096];
        Put(header, 0x100, id: 0x0001, next: 0x40);
        Put(header, 0x40, id: 0x0003, next: 0);

        Assert.Null(PciSerialNumber.Find(loop));
        Assert.Null(PciSerialNumber.Find(last));
        Assert.Null(PciSerialNumber.Find(header));
        Assert.Null(PciSerialNumber.Find(new byte[4096]));
        Assert.Null(PciSerialNumber.Find(Enumerable.Repeat((byte)0xff, 4096).ToArray()));
        Assert.Null(PciSerialNumber.Find(new byte[256]));
        Assert.Null(PciSerialNumber.Find([]));
    }

    [Fact]
    public async Task A_device_is_opened_where_its_function_sits()
    {
        Add("0000:5e:00.0", "8086", "0a54", Space(Serial));
        await using FakeBarDevice device = new();
        PciAddress? opened = null;
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, _root.FullName)
        {
            OpenFunction = (_, address) =>
            {
                opened = address;
                return Task.FromResult<IBarDevice>(device);
            },
        };

        await opener.OpenAllAsync(Read("\"dev0\": { \"id\": \"8086:0a54\", \"serial\": \"00-15-17-FF-FF-AB-CD-EF\" }"), "policy.json", TestContext.Current.CancellationToken);

        Assert.Equal("0000:5e:00.0", opened.ToString());
    }

    [Fact]
    public async Task A_device_that_is_not_found_stops_the_start_with_the_place_in_the_file()
    {
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, _root.FullName);

        StartException failure = await Assert.ThrowsAsync<StartException>(
            () => opener.OpenAllAsync(Read("\"dev0\": { \"id\": \"8086:0a54\" }"), "policy.json", TestContext.Current.CancellationToken));

        Assert.StartsWith("policy.json:1:32: devices.dev0.id: Device 'dev0': There is no PCI function 8086:0a54", failure.Message, StringComparison.Ordinal);
        Assert.True(failure.IsAbsent);
    }

    [Fact]
    public async Task One_function_under_two_names_stops_the_start()
    {
        Add("0000:5e:00.0", "8086", "0a54", Space(Serial));
        await using DeviceOpener opener = new(NullLoggerFactory.Instance, TimeProvider.System, _root.FullName);

        PolicyException failure = await Assert.ThrowsAsync<PolicyException>(
            () => opener.OpenAllAsync(Read("\"a\": { \"address\": \"0000:5e:00.0\" }, \"b\": { \"id\": \"8086:0a54\" }"), "policy.json", TestContext.Current.CancellationToken));

        Assert.EndsWith("devices.b.id: 0000:5e:00.0 is device 'a' already. A function has one name: give both sets of windows to it.", failure.Message, StringComparison.Ordinal);
    }

    private static BrokerPolicy Read(string devices) => PolicyReader.Read(System.Text.Encoding.UTF8.GetBytes($$"""{ "devices": { {{devices}} } }"""), "policy.json");

    private string Refusal(ulong? serial, bool isAbsent)
    {
        DeviceOpenException refused = Assert.Throws<DeviceOpenException>(() => Sysfs.Find(new PciIdentity(0x8086, 0x0a54, serial)));
        Assert.Equal(isAbsent, refused.IsAbsent);
        return refused.Message;
    }

    private string PathOf(string address, string file) => Path.Combine(_root.FullName, "sys/bus/pci/devices", address, file);

    private void Add(string address, string vendor, string device, byte[] configuration)
    {
        Directory.CreateDirectory(PathOf(address, ""));
        File.WriteAllText(PathOf(address, "vendor"), $"0x{vendor}\n");
        File.WriteAllText(PathOf(address, "device"), $"0x{device}\n");
        File.WriteAllBytes(PathOf(address, "config"), configuration);
    }

    /// <summary>With the serial number as the second of its extended capabilities.</summary>
    private static byte[] Space(ulong serial)
    {
        byte[] space = new byte[4096];
        Put(space, 0x100, id: 0x0001, next: 0x148);
        Put(space, 0x148, id: 0x0003, next: 0);
        BinaryPrimitives.WriteUInt64LittleEndian(space.AsSpan(0x14c), serial);
        return space;
    }

    private static void Put(byte[] space, int position, ushort id, int next)
        => BinaryPrimitives.WriteUInt32LittleEndian(space.AsSpan(position), id | (1u << 16) | ((uint)next << 20));
}
