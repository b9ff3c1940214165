using BarBroker.Client;
using BarBroker.Unix;
using Xunit;

namespace BarBroker.Tests.Client;

public sealed class MappedBarTests
{
    public static TheoryData<int> Widths => [1, 2, 4, 8];

    [Theory]
    [MemberData(nameof(Widths))]
    public void A_write_stores_exactly_its_bytes_and_no_neighbour(int width)
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        bar.WriteBlock8(0, [.. Enumerable.Repeat((byte)0xee, 24)]);

        Write(bar, width, 8, 0x1122334455667788);

        byte[] expected = [.. Enumerable.Repeat((byte)0xee, 24)];
        BitConverter.GetBytes(0x1122334455667788).AsSpan(0, width).CopyTo(expected.AsSpan(8));
        Assert.Equal(expected, lease.Contents()[..24]);
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void A_read_loads_exactly_its_bytes(int width)
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        bar.Write64(0, ulong.MaxValue);
        bar.Write64(8, 0xf122334455667788);
        bar.Write64(16, ulong.MaxValue);

        ulong mask = width == 8 ? ulong.MaxValue : (1UL << (8 * width)) - 1;
        Assert.Equal(0xf122334455667788 & mask, Read(bar, width, 8));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void The_last_bytes_can_be_accessed_and_none_behind_them(int width)
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        ulong last = TestLease.DefaultLength - (ulong)width;

        Write(bar, width, last, 1);
        Assert.Equal(1UL, Read(bar, width, last));

        foreach (ulong beyond in new[] { last + (ulong)width, last + 1, ulong.MaxValue, ulong.MaxValue - (ulong)width + 1, 1UL << 63 })
        {
            Assert.Throws<ArgumentOutOfRangeException>("offset", () => Read(bar, width, beyond));
            Assert.Throws<ArgumentOutOfRangeException>("offset", () => Write(bar, width, beyond, 1));
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void An_access_must_be_aligned_to_its_width(int width)
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        for (ulong offset = 0; offset < 16; offset++)
        {
            if (offset % (ulong)width == 0)
            {
                Read(bar, width, offset);
                Write(bar, width, offset, 0);
            }
            else
            {
                Assert.Contains($"multiple of {width}", Assert.Throws<ArgumentException>("offset", () => Read(bar, width, offset)).Message, StringComparison.Ordinal);
                Assert.Throws<ArgumentException>("offset", () => Write(bar, width, offset, 0));
            }
        }
    }

    [Fact]
    public void A_block_must_lie_inside_the_lease_as_a_whole()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        uint[] all = new uint[TestLease.DefaultLength / 4];
        uint[] oneMore = new uint[all.Length + 1];

        bar.ReadBlock32(0, all);
        bar.WriteBlock32(0, all);
        bar.ReadBlock32(TestLease.DefaultLength, []);
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => bar.ReadBlock32(0, oneMore));
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => bar.WriteBlock32(0, oneMore));
        Assert.Throws<ArgumentOutOfRangeException>("offset", () => bar.ReadBlock32(4, all));
        Assert.Throws<ArgumentException>("offset", () => bar.ReadBlock32(2, all.AsSpan(0, 1)));
    }

    [Fact]
    public void Blocks_of_each_width_come_back_as_they_went()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        byte[] bytes = [.. Enumerable.Range(1, 64).Select(i => (byte)i)];
        ushort[] halves = [.. Enumerable.Range(1, 64).Select(i => (ushort)(i * 257))];
        uint[] words = [.. Enumerable.Range(1, 64).Select(i => (uint)i * 0x01010101)];
        ulong[] doubles = [.. Enumerable.Range(1, 64).Select(i => (ulong)i * 0x0101010101010101)];

        bar.WriteBlock8(0x100, bytes);
        bar.WriteBlock16(0x200, halves);
        bar.WriteBlock32(0x400, words);
        bar.WriteBlock64(0x800, doubles);

        byte[] bytesRead = new byte[64];
        ushort[] halvesRead = new ushort[64];
        uint[] wordsRead = new uint[64];
        ulong[] doublesRead = new ulong[64];
        bar.ReadBlock8(0x100, bytesRead);
        bar.ReadBlock16(0x200, halvesRead);
        bar.ReadBlock32(0x400, wordsRead);
        bar.ReadBlock64(0x800, doublesRead);
        Assert.Equal(bytes, bytesRead);
        Assert.Equal(halves, halvesRead);
        Assert.Equal(words, wordsRead);
        Assert.Equal(doubles, doublesRead);
        Assert.Equal(0u, bar.Read32(0x400 - 4));
        Assert.Equal(0u, bar.Read32(0x400 + 256));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void A_read_only_lease_can_be_read_and_says_how_to_write(int width)
    {
        using TestLease lease = new(access: LeaseAccess.ReadOnly);
        using MappedBar bar = lease.Map();

        Assert.Equal(0UL, Read(bar, width, 0));
        Assert.Contains("ReadWrite", Assert.Throws<InvalidOperationException>(() => Write(bar, width, 0, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => bar.WriteBlock32(0, [1]));
        Assert.Equal(new byte[16], lease.Contents()[..16]);
    }

    [Fact]
    public void Several_ranges_lie_one_behind_the_other()
    {
        using TestLease lease = new(length: 3 * 4096, ranges: 3);
        using MappedBar bar = lease.Map();
        Assert.Equal(3 * 4096UL, bar.Length);
        bar.Write32(0, 1);
        bar.Write32(4096, 2);
        bar.Write32(8192, 3);

        byte[] contents = lease.Contents();
        Assert.Equal([1, 2, 3], [contents[0], contents[4096], contents[8192]]);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0x1000)]
    [InlineData(0x1ff000)]
    public void A_large_lease_is_placed_so_that_large_pages_fit(ulong offset)
    {
        const ulong LargePage = 2 << 20;
        using TestLease lease = new(length: 2 * LargePage, offset: offset);
        using BarBroker.Client.Mapping.LeaseMapping mapping = BarBroker.Client.Mapping.LeaseMapping.Map(lease.Memory, lease.Info.Ranges, LeaseAccess.ReadWrite);
        using BarBroker.Client.Mapping.LeaseMapping.Usage memory = mapping.Use();
        Assert.Equal(offset % LargePage, (ulong)memory.Address % LargePage);
    }

    public static TheoryData<ulong[], ulong> SeveralRanges => new()
    {
        // Offset and length of each range in KiB, and where in 2 MiB the mapping should start, in KiB.
        { [0, 4096, 8192, 4096], 0 },
        { [1024, 3072, 8192, 4096], 1024 },
        { [64, 1024, 4096, 8192], 1024 },
        { [0, 2048, 5000, 8192, 16384, 2048], 5000 - 2048 },
        { [0, 2048, 5000, 8192, 16384, 6144], 0 },
        { [4, 4, 2048, 2048], 2044 },
    };

    [Theory]
    [MemberData(nameof(SeveralRanges))]
    public void Several_ranges_are_placed_so_that_most_large_pages_fit(ulong[] kibibytes, ulong expected)
    {
        const ulong LargePage = 2 << 20;
        BarRange[] ranges = [.. kibibytes.Chunk(2).Select(pair => new BarRange(pair[0] << 10, pair[1] << 10))];
        using TestLease lease = new(length: ranges.Aggregate(0UL, (sum, range) => sum + range.Length));
        using BarBroker.Client.Mapping.LeaseMapping mapping = BarBroker.Client.Mapping.LeaseMapping.Map(lease.Memory, [.. ranges], LeaseAccess.ReadWrite);
        using BarBroker.Client.Mapping.LeaseMapping.Usage memory = mapping.Use();

        Assert.Equal((expected << 10) % LargePage, (ulong)memory.Address % LargePage);
    }

    [Fact]
    public void A_mapping_of_which_a_part_fails_leaves_no_addresses_taken()
    {
        using TestLease lease = new(length: 3 * 4096);
        // Its pages can't be mapped at an offset that is no multiple of theirs: the second range fails.
        BarRange[] ranges = [new(0, 4096 + 512), new(8192, 4096)];
        Assert.Throws<UnixException>(() => BarBroker.Client.Mapping.LeaseMapping.Map(lease.Memory, [.. ranges], LeaseAccess.ReadWrite));

        Assert.DoesNotContain(lease.Name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    [Fact]
    public void An_access_never_straddles_two_ranges_because_it_is_aligned()
    {
        using TestLease lease = new(length: 2 * 4096, ranges: 2);
        using MappedBar bar = lease.Map();

        bar.Write64(4096 - 8, 1);
        bar.Write64(4096, 2);

        Assert.Throws<ArgumentException>("offset", () => bar.Read64(4096 - 4));
        Assert.Throws<ArgumentException>("offset", () => bar.Write16(4096 - 1, 1));
        Assert.Equal((1UL, 2UL), (bar.Read64(4096 - 8), bar.Read64(4096)));
    }

    [Theory]
    [InlineData(MemoryType.Uncached)]
    [InlineData(MemoryType.Cached)]
    [InlineData(MemoryType.WriteCombining)]
    [InlineData(MemoryType.Unknown)]
    public void Fences_and_flushes_may_be_asked_of_every_memory_type(MemoryType type)
    {
        using TestLease lease = new(memoryType: type);
        using MappedBar bar = lease.Map();

        bar.Write32(4, 7);
        bar.WriteFence();
        bar.FlushWrites(4);

        Assert.Equal((type, 7U), (bar.MemoryType, bar.Read32(4)));
    }

    [Fact]
    public void Mapping_and_disposing_leaves_no_addresses_taken()
    {
        using TestLease lease = new(length: 4 << 20);
        using (lease.Map())
        {
            Assert.Contains(lease.Name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        }

        Assert.DoesNotContain(lease.Name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
    }

    [Fact]
    public void A_disposed_mapping_says_so()
    {
        using TestLease lease = new();
        MappedBar bar = lease.Map();
        bar.Dispose();
        bar.Dispose();

        Assert.Equal(nameof(MappedBar), Assert.Throws<ObjectDisposedException>(() => bar.Read32(0)).ObjectName);
        Assert.Throws<ObjectDisposedException>(() => bar.Write32(0, 1));
        Assert.Throws<ObjectDisposedException>(() => bar.ReadBlock32(0, new uint[1]));
        Assert.Throws<ObjectDisposedException>(() => bar.FlushWrites(0));
        Assert.Throws<ObjectDisposedException>(bar.WriteFence);
    }

    internal static ulong Read(MappedBar bar, int width, ulong offset) => width switch
    {
        1 => bar.Read8(offset),
        2 => bar.Read16(offset),
        4 => bar.Read32(offset),
        _ => bar.Read64(offset),
    };

    internal static void Write(MappedBar bar, int width, ulong offset, ulong value)
    {
        switch (width)
        {
            case 1:
                bar.Write8(offset, (byte)value);
                break;
            case 2:
                bar.Write16(offset, (ushort)value);
                break;
            case 4:
                bar.Write32(offset, (uint)value);
                break;
            default:
                bar.Write64(offset, value);
                break;
        }
    }
}
