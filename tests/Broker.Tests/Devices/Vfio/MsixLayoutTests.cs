using System.Buffers.Binary;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using Xunit;

namespace BarBroker.Tests.Devices.Vfio;

public sealed class MsixLayoutTests
{
    [Fact]
    public void A_function_without_capabilities_reserves_nothing()
    {
        byte[] configuration = NewConfiguration();
        configuration[0x06] = 0;

        Assert.Empty(MsixLayout.Parse(configuration));
    }

    [Fact]
    public void A_function_without_MSI_X_reserves_nothing()
    {
        byte[] configuration = NewConfiguration();
        PutCapability(configuration, 0x40, id: 0x01, next: 0x50);
        PutCapability(configuration, 0x50, id: 0x05, next: 0);

        Assert.Empty(MsixLayout.Parse(configuration));
    }

    [Fact]
    public void Table_and_pending_bits_are_aligned_outward_to_pages()
    {
        byte[] configuration = NewConfiguration();
        PutCapability(configuration, 0x40, id: 0x01, next: 0x60);
        PutMsix(configuration, 0x60, next: 0, vectors: 65, table: 0x2010, pending: 0x8ff8 | 2);

        // 65 vectors: 1,040 bytes of table; 16 bytes of pending bits, which straddle a page's end.
        Assert.Equal([Range(0, 0x2000, 0x1000), Range(2, 0x8000, 0x2000)], MsixLayout.Parse(configuration));
    }

    [Fact]
    public void The_largest_table_is_reserved_whole()
    {
        byte[] configuration = NewConfiguration();
        PutMsix(configuration, 0x40, next: 0, vectors: 2048, table: 0x1000 | 4, pending: 0x20000 | 4);

        Assert.Equal([Range(4, 0x1000, 0x8000), Range(4, 0x20000, 0x1000)], MsixLayout.Parse(configuration));
    }

    [Theory]
    [InlineData(0x2000u, 0x2800u, 0x2000u, 0x1000u)]
    [InlineData(0x2000u, 0x3000u, 0x2000u, 0x2000u)]
    [InlineData(0x3000u, 0x2000u, 0x2000u, 0x2000u)]
    public void Structures_that_touch_are_one_range(uint table, uint pending, uint offset, uint length)
    {
        byte[] configuration = NewConfiguration();
        PutMsix(configuration, 0x40, next: 0, vectors: 16, table, pending);

        Assert.Equal([Range(0, offset, length)], MsixLayout.Parse(configuration));
    }

    [Fact]
    public void The_highest_offset_does_not_overflow()
    {
        byte[] configuration = NewConfiguration();
        PutMsix(configuration, 0x40, next: 0, vectors: 1, table: 0xfffffff8, pending: 0);

        Assert.Equal([Range(0, 0, 0x1000), Range(0, 0xfffff000, 0x2000)], MsixLayout.Parse(configuration));
    }

    [Fact]
    public void A_capability_list_that_is_a_loop_is_refused()
    {
        byte[] configuration = NewConfiguration();
        PutCapability(configuration, 0x40, id: 0x01, next: 0x50);
        PutCapability(configuration, 0x50, id: 0x05, next: 0x40);

        Assert.Contains("loop", Refusal(configuration), StringComparison.Ordinal);
    }

    [Fact]
    public void The_longest_list_that_is_no_loop_is_walked_to_its_end()
    {
        byte[] configuration = NewConfiguration();
        for (int position = 0x40; position < 0xf4; position += 4)
        {
            PutCapability(configuration, position, id: 0x09, next: position + 4);
        }

        PutMsix(configuration, 0xf4, next: 0, vectors: 1, table: 0, pending: 0x1000);

        Assert.Equal([Range(0, 0, 0x2000)], MsixLayout.Parse(configuration));
    }

    [Fact]
    public void A_list_that_leads_into_the_header_is_refused()
    {
        byte[] configuration = NewConfiguration();
        PutCapability(configuration, 0x40, id: 0x01, next: 0x10);

        Assert.Contains("0x10", Refusal(configuration), StringComparison.Ordinal);
    }

    [Fact]
    public void A_capability_that_is_cut_off_by_the_end_is_refused()
    {
        byte[] configuration = NewConfiguration();
        configuration[0x34] = 0xf8;
        PutCapability(configuration, 0xf8, id: 0x11, next: 0);

        Assert.Contains("past the end", Refusal(configuration), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(6u, 0u)]
    [InlineData(0u, 7u)]
    public void A_BAR_that_can_not_be_is_refused(uint table, uint pending)
    {
        byte[] configuration = NewConfiguration();
        PutMsix(configuration, 0x40, next: 0, vectors: 1, table, pending);

        Assert.Contains("BARs are numbered", Refusal(configuration), StringComparison.Ordinal);
    }

    [Fact]
    public void A_device_that_does_not_answer_is_refused()
    {
        byte[] configuration = new byte[256];
        configuration.AsSpan().Fill(0xff);

        Assert.Contains("all ones", Refusal(configuration), StringComparison.Ordinal);
    }

    [Fact]
    public void A_space_that_is_too_short_is_refused() => Assert.Contains("64", Refusal(new byte[64]), StringComparison.Ordinal);

    private static string Refusal(byte[] configuration) => Assert.Throws<InvalidDataException>(() => MsixLayout.Parse(configuration)).Message;

    private static byte[] NewConfiguration()
    {
        byte[] configuration = new byte[256];
        BinaryPrimitives.WriteUInt32LittleEndian(configuration, 0x1234_8086);
        configuration[0x06] = 0x10;
        configuration[0x34] = 0x40;
        return configuration;
    }

    private static void PutCapability(byte[] configuration, int position, byte id, int next)
    {
        configuration[position] = id;
        configuration[position + 1] = (byte)next;
    }

    private static void PutMsix(byte[] configuration, int position, int next, int vectors, uint table, uint pending)
    {
        PutCapability(configuration, position, 0x11, next);
        BinaryPrimitives.WriteUInt16LittleEndian(configuration.AsSpan(position + 2), (ushort)(0x8000 | (vectors - 1)));
        BinaryPrimitives.WriteUInt32LittleEndian(configuration.AsSpan(position + 4), table);
        BinaryPrimitives.WriteUInt32LittleEndian(configuration.AsSpan(position + 8), pending);
    }

    private static BarRange Range(int bar, ulong offset, ulong length)
    {
        Assert.Equal(RangeError.None, BarRange.TryCreate(bar, offset, length, out BarRange range));
        return range;
    }
}
