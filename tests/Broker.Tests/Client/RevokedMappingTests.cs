using BarBroker.Client;
using Xunit;

namespace BarBroker.Tests.Client;

/// <summary>What an access finds once the memory is gone: an exception, and a process that lives.</summary>
public sealed class RevokedMappingTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(4)]
    [InlineData(8)]
    public void Every_access_to_a_revoked_lease_throws(int width)
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        MappedBarTests.Write(bar, width, 8, 1);
        lease.Revoke();

        LeaseRevokedException read = Assert.Throws<LeaseRevokedException>(() => MappedBarTests.Read(bar, width, 8));
        LeaseRevokedException write = Assert.Throws<LeaseRevokedException>(() => MappedBarTests.Write(bar, width, 8, 1));
        Assert.Equal(7UL, read.LeaseId);
        Assert.Contains("offset 0x8", read.Message, StringComparison.Ordinal);
        Assert.Contains("lease 7 (sim0, window 'left')", write.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_block_and_flush_on_a_revoked_lease_throws()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        lease.Revoke();

        Assert.Throws<LeaseRevokedException>(() => bar.ReadBlock8(0, new byte[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.ReadBlock16(0, new ushort[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.ReadBlock32(0, new uint[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.ReadBlock64(0, new ulong[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.WriteBlock8(0, new byte[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.WriteBlock16(0, new ushort[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.WriteBlock32(0, new uint[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.WriteBlock64(0, new ulong[3]));
        Assert.Throws<LeaseRevokedException>(() => bar.FlushWrites(0));
    }

    [Fact]
    public void A_block_that_loses_its_memory_on_the_way_has_its_first_elements()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        bar.Write32(4092, 0x1234);
        BarBroker.Unix.Files.Truncate(lease.Memory, 4096);
        uint[] words = new uint[2];

        Assert.Throws<LeaseRevokedException>(() => bar.ReadBlock32(4092, words));
        Assert.Equal([0x1234u, 0u], words);
    }

    [Fact]
    public void Thousands_of_faults_on_many_threads_at_once_are_all_exceptions()
    {
        const int Threads = 8;
        const int FaultsEach = 2_000;
        using TestLease standing = new();
        using MappedBar alive = standing.Map();
        alive.Write32(0, 0xbeef);
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        lease.Revoke();
        int caught = 0;

        Thread[] threads = [.. Enumerable.Range(0, Threads).Select(_ => new Thread(() =>
        {
            for (int i = 0; i < FaultsEach; i++)
            {
                try
                {
                    MappedBarTests.Read(bar, 1 << (i % 4), 64);
                }
                catch (LeaseRevokedException)
                {
                    if (alive.Read32(0) == 0xbeef)
                    {
                        Interlocked.Increment(ref caught);
                    }
                }
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        Assert.Equal(Threads * FaultsEach, caught);
    }

    [Fact]
    public void A_lease_revoked_while_threads_use_it_ends_in_an_exception_on_each()
    {
        for (int round = 0; round < 50; round++)
        {
            using TestLease lease = new();
            using MappedBar bar = lease.Map();
            CancellationToken cancelled = TestContext.Current.CancellationToken;
            using Barrier start = new(5);
            int revoked = 0;
            Thread[] threads = [.. Enumerable.Range(0, 4).Select(n => new Thread(() =>
            {
                start.SignalAndWait(cancelled);
                try
                {
                    while (true)
                    {
                        bar.Write32(4 * (ulong)n, 1);
                        bar.Read64(4096);
                    }
                }
                catch (LeaseRevokedException)
                {
                    Interlocked.Increment(ref revoked);
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            start.SignalAndWait(cancelled);
            lease.Revoke();
            Array.ForEach(threads, thread => thread.Join());
            Assert.Equal(4, revoked);
        }
    }

    [Fact]
    public void The_runtime_still_turns_null_references_into_exceptions()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        lease.Revoke();
        for (int i = 0; i < 100; i++)
        {
            Assert.Throws<LeaseRevokedException>(() => bar.Read32(0));
            string? nothing = Environment.GetEnvironmentVariable("BAR_BROKER_TEST_NOT_SET");
            Assert.Throws<NullReferenceException>(() => nothing!.Length);
        }
    }

    [Fact]
    public void Disposing_races_with_accesses_without_touching_unmapped_memory()
    {
        for (int round = 0; round < 300; round++)
        {
            using TestLease lease = new();
            MappedBar bar = lease.Map();
            CancellationToken cancelled = TestContext.Current.CancellationToken;
            using Barrier start = new(4);
            int disposed = 0;
            Thread[] threads = [.. Enumerable.Range(0, 3).Select(n => new Thread(() =>
            {
                uint[] block = new uint[512];
                start.SignalAndWait(cancelled);
                try
                {
                    while (true)
                    {
                        bar.Read32(0);
                        bar.ReadBlock32(0, block);
                        bar.Write32(4, 1);
                    }
                }
                catch (ObjectDisposedException)
                {
                    Interlocked.Increment(ref disposed);
                }
            }))];
            Array.ForEach(threads, thread => thread.Start());
            start.SignalAndWait(cancelled);
            bar.Dispose();
            Array.ForEach(threads, thread => thread.Join());
            Assert.Equal(3, disposed);
        }
    }
}
