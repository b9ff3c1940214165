using System.Net.Sockets;
using BarBroker.Client.Grpc;
using BarBroker.Devices;
using BarBroker.Grpc;
using BarBroker.Leases;
using BarBroker.Tests.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;
using BarBroker.V1;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static BarBroker.Tests.Tickets.AnswerBytes;

namespace BarBroker.Tests.Tickets;

/// <summary>Tickets from the call to the descriptor, over real sockets.</summary>
public sealed class RedeemTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_ticket_brings_the_very_descriptor_of_its_lease_with_the_answer()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        AcquireResponse acquired = await TicketHost.AcquireAsync(channel);
        Assert.Null(acquired.InBand);
        Assert.Equal(10U, acquired.Ticket.ValidSeconds);

        using RedeemClient client = await host.RedeemAsync(acquired.Ticket.Secret);

        Assert.Equal(Granted, await client.ReadAsync());
        Assert.Equal(acquired.Ticket.Inode, Files.InodeOf(client.Descriptor));
        Assert.Single(host.Leases.List(_ => true));
    }

    [Fact]
    public async Task Tickets_that_are_redeemed_at_once_and_crosswise_never_swap_their_descriptors()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        AcquireResponse[] acquired = await Task.WhenAll(Enumerable.Range(0, 48).Select(page => TicketHost.AcquireAsync(channel, (ulong)page)));

        (ulong Expected, RedeemClient Client)[] redeemed =
            await Task.WhenAll(acquired.Reverse().Select(async lease => (lease.Ticket.Inode, await host.RedeemAsync(lease.Ticket.Secret))));

        foreach ((ulong expected, RedeemClient client) in redeemed)
        {
            Assert.Equal(Granted, await client.ReadAsync());
            Assert.Equal(expected, Files.InodeOf(client.Descriptor));
            client.Dispose();
        }

        Assert.Equal(48, redeemed.Select(entry => entry.Expected).Distinct().Count());
    }

    [Fact]
    public async Task A_ticket_outlives_the_connection_that_got_it_and_its_lease_ends_with_the_one_that_redeemed_it()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        AcquireResponse acquired = await host.AcquireAsync();
        RedeemClient client = await host.RedeemAsync(acquired.Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());
        LeaseInfo held = Assert.Single(host.Leases.List(_ => true));
        Assert.Equal((Libc.GetEffectiveUserId(), Environment.ProcessId), (held.Peer.Uid, held.Peer.Pid));

        client.Dispose();

        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_redeemed_lease_is_renewed_by_its_acquirer_and_its_connection_ends_with_its_time()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time);
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        AcquireResponse acquired = await TicketHost.AcquireAsync(channel, leaseTime: TimeSpan.FromSeconds(10));
        using RedeemClient client = await host.RedeemAsync(acquired.Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());
        time.Advance(TimeSpan.FromSeconds(9));

        RenewResponse renewed = await channel.UnaryAsync<RenewRequest, RenewResponse>(
            "/barbroker.v1.Broker/Renew", new RenewRequest { LeaseId = acquired.Lease.LeaseId }, new CallOptions(CancellationToken: TestToken));
        Assert.Equal(time.GetUtcNow() + TimeSpan.FromSeconds(10), renewed.Lease.ExpireTime.ToDateTimeOffset());
        time.Advance(TimeSpan.FromSeconds(9));
        Assert.Single(host.Leases.List(_ => true));
        time.Advance(TimeSpan.FromSeconds(2));

        Assert.EndsWith("Expired", await host.NextEndAsync(), StringComparison.Ordinal);
        Assert.Null(await client.ReadAsync());
    }

    [Fact]
    public async Task Who_redeemed_a_ticket_hears_of_an_announced_end_when_it_comes()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time);
        using RedeemClient client = await host.RedeemAsync((await host.AcquireAsync()).Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());
        Task<EndResult> revoke = host.Leases.RevokeAsync(_ => true, TimeSpan.FromSeconds(10));
        Task<int?> next = client.ReadAsync();
        time.Advance(TimeSpan.FromSeconds(9));
        Assert.False(next.IsCompleted);
        time.Advance(TimeSpan.FromSeconds(2));

        Assert.Single((await revoke).Ended);
        Assert.Null(await next);
    }

    [Fact]
    public async Task A_client_that_shuts_down_its_sending_side_gives_the_lease_back()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        using RedeemClient client = await host.RedeemAsync((await host.AcquireAsync()).Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());

        client.Socket.Shutdown(SocketShutdown.Send);

        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
        Assert.Null(await client.ReadAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_client_that_sends_more_than_its_ticket_loses_the_lease(bool atOnce)
    {
        await using TicketHost host = await TicketHost.StartAsync();
        string secret = (await host.AcquireAsync()).Ticket.Secret;
        using RedeemClient client = await RedeemClient.SendAsync(host.SocketPath, $"BARFD1 {secret}\n{(atOnce ? "PRI * HTTP/2.0" : "")}");
        Assert.Equal(Granted, await client.ReadAsync());
        if (!atOnce)
        {
            await client.SendAsync("x");
        }

        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
        Assert.Null(await client.ReadAsync());
    }

    [Fact]
    public async Task A_preface_in_single_bytes_is_as_good()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        string secret = (await host.AcquireAsync()).Ticket.Secret;
        using RedeemClient client = await RedeemClient.ConnectAsync(host.SocketPath);

        foreach (char part in $"BARFD1 {secret}\n")
        {
            await client.SendAsync(part.ToString());
        }

        Assert.Equal(Granted, await client.ReadAsync());
        Assert.Equal(1, client.DescriptorCount);
    }

    [Fact]
    public async Task A_used_ticket_is_refused_and_the_first_to_use_it_keeps_its_lease()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        host.ExpectedEvents.Add(123);
        string secret = (await host.AcquireAsync()).Ticket.Secret;
        using RedeemClient first = await host.RedeemAsync(secret);
        Assert.Equal(Granted, await first.ReadAsync());

        using RedeemClient second = await host.RedeemAsync(secret);

        Assert.Equal(Refused, await second.ReadLastAsync());
        Assert.Equal(0, second.DescriptorCount);
        Assert.Single(host.Leases.List(_ => true));
    }

    [Fact]
    public async Task A_ticket_that_nobody_redeems_ends_its_lease_and_is_refused()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time);
        host.ExpectedEvents.Add(123);
        string secret = (await host.AcquireAsync()).Ticket.Secret;

        time.Advance(TicketLimits.ValidFor);

        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
        using RedeemClient late = await host.RedeemAsync(secret);
        Assert.Equal(Refused, await late.ReadLastAsync());
    }

    [Theory]
    [InlineData("BARFD1 xyz")]
    [InlineData("BARFD2 " + NobodysSecret + "\n")]
    [InlineData("BARFD1 " + NobodysSecret + "!")]
    [InlineData("BARFD1\n")]
    public async Task What_is_no_ticket_is_answered_so_as_soon_as_that_is_certain(string text)
    {
        await using TicketHost host = await TicketHost.StartAsync();
        using RedeemClient client = await RedeemClient.SendAsync(host.SocketPath, text);

        Assert.Equal(Malformed, await client.ReadLastAsync());
    }

    [Fact]
    public async Task Half_a_ticket_and_then_the_end_is_malformed()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        using RedeemClient client = await RedeemClient.SendAsync(host.SocketPath, "BARFD1 0123");
        client.Socket.Shutdown(SocketShutdown.Send);

        Assert.Equal(Malformed, await client.ReadLastAsync());
    }

    [Fact]
    public async Task A_ticket_that_is_not_there_in_full_in_time_is_not_waited_for()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time);
        host.ExpectedEvents.Add(105);
        using RedeemClient slow = await RedeemClient.SendAsync(host.SocketPath, "BARFD1 0123");

        // Connections are accepted in order: the last one's answer is proof that the clock of the other runs.
        await using UnixGrpcChannel speaking = await host.ConnectAsync();
        time.Advance(TimeSpan.FromSeconds(30));

        Assert.Null(await slow.ReadAsync());
    }

    [Fact]
    public async Task A_socket_without_tickets_says_so_and_gives_none_out()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        string secret = (await host.AcquireAsync()).Ticket.Secret;
        using RedeemClient misled = await RedeemClient.SendAsync(host.PlainSocketPath, $"BARFD1 {secret}\n");
        Assert.Equal(Malformed, await misled.ReadLastAsync());

        await using UnixGrpcChannel plain = await UnixGrpcChannel.ConnectAsync(host.PlainSocketPath, TestToken);
        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => TicketHost.AcquireAsync(plain, page: 1));
        Assert.Equal((StatusCode.Unimplemented, "DELIVERY_UNSUPPORTED"), (refused.StatusCode, refused.GetReason()));

        using RedeemClient right = await host.RedeemAsync(secret);
        Assert.Equal(Granted, await right.ReadAsync());
    }

    [Fact]
    public async Task A_lease_that_was_revoked_meanwhile_is_told_so()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        AcquireResponse acquired = await host.AcquireAsync();
        HashSet<ulong> inodes = [acquired.Ticket.Inode];
        await host.Leases.RevokeAsync(_ => true);
        await UntilAsync(() => TestDescriptors.CountOpen(inodes) == 0);

        using RedeemClient client = await host.RedeemAsync(acquired.Ticket.Secret);

        Assert.Equal(LeaseOver, await client.ReadLastAsync());
    }

    [Fact]
    public async Task A_revoked_lease_is_the_end_of_the_connection_that_redeemed_it()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        using RedeemClient client = await host.RedeemAsync((await host.AcquireAsync()).Ticket.Secret);
        using RedeemClient other = await host.RedeemAsync((await host.AcquireAsync(page: 1)).Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());
        Assert.Equal(Granted, await other.ReadAsync());

        Task<int?> end = client.ReadAsync();
        Assert.False(end.IsCompleted);
        await host.Leases.RevokeAsync(new LeaseId(1));

        Assert.Null(await end);
        Assert.Equal(2UL, Assert.Single(host.Leases.List(_ => true)).Id.Value);
    }

    [Fact]
    public async Task A_broker_that_stops_ends_the_connection_with_the_lease()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        using RedeemClient client = await host.RedeemAsync((await host.AcquireAsync()).Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());

        await host.StopAsync();

        Assert.Null(await client.ReadAsync());
        Assert.EndsWith("Shutdown", await host.NextEndAsync(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_server_that_stops_takes_tickets_and_what_redeemed_them_along()
    {
        await using TicketHost host = await TicketHost.StartAsync();
        AcquireResponse waiting = await host.AcquireAsync();
        using RedeemClient client = await host.RedeemAsync((await host.AcquireAsync(page: 1)).Ticket.Secret);
        Assert.Equal(Granted, await client.ReadAsync());
        using RedeemClient silent = await RedeemClient.ConnectAsync(host.SocketPath);
        using RedeemClient slow = await RedeemClient.SendAsync(host.SocketPath, "BAR");

        await host.StopServingAsync();

        Assert.Null(await client.ReadAsync());
        Assert.Null(await silent.ReadAsync());
        Assert.Null(await slow.ReadAsync());
        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
        Assert.EndsWith("ConnectionClosed", await host.NextEndAsync(), StringComparison.Ordinal);
        HashSet<ulong> inodes = [waiting.Ticket.Inode];
        Assert.Equal(0, TestDescriptors.CountOpen(inodes));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task The_connection_that_acquired_a_lease_can_give_it_back(bool redeemed)
    {
        await using TicketHost host = await TicketHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        AcquireResponse acquired = await TicketHost.AcquireAsync(channel);
        using RedeemClient? client = redeemed ? await host.RedeemAsync(acquired.Ticket.Secret) : null;
        if (client is not null)
        {
            Assert.Equal(Granted, await client.ReadAsync());
        }

        await using (UnixGrpcChannel stranger = await host.ConnectAsync())
        {
            RpcException refused = await Assert.ThrowsAsync<RpcException>(() => ReleaseAsync(stranger, acquired.Lease.LeaseId));
            Assert.Equal("LEASE_UNKNOWN", refused.GetReason());
        }

        await ReleaseAsync(channel, acquired.Lease.LeaseId);

        Assert.EndsWith("Released", await host.NextEndAsync(), StringComparison.Ordinal);
        if (client is not null)
        {
            Assert.Null(await client.ReadAsync());
        }
    }

    [Fact]
    public async Task No_descriptor_and_no_place_is_left_taken_whatever_becomes_of_a_ticket()
    {
        FakeTimeProvider time = new();

        // Of the connections of all rounds, only some fit: those that are over have to make room.
        await using TicketHost host = await TicketHost.StartAsync(time, maxConnections: 12);
        host.ExpectedEvents.UnionWith([105, 123]);
        for (int round = 0; round < 6; round++)
        {
            await RoundAsync(host, time);
        }
    }

    /// <summary>A ticket for each thing that can become of one.</summary>
    private static async Task RoundAsync(TicketHost host, FakeTimeProvider time)
    {
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        AcquireResponse[] acquired = await Task.WhenAll(Enumerable.Range(0, 6).Select(page => TicketHost.AcquireAsync(channel, (ulong)page)));
        HashSet<ulong> inodes = [.. acquired.Select(lease => lease.Ticket.Inode)];
        using (RedeemClient redeemed = await host.RedeemAsync(acquired[0].Ticket.Secret))
        using (RedeemClient hasty = await host.RedeemAsync(acquired[1].Ticket.Secret))
        using (RedeemClient unread = await host.RedeemAsync(acquired[2].Ticket.Secret))
        {
            Assert.Equal(Granted, await redeemed.ReadAsync());

            // This one leaves before it can have read anything, and that one stays without reading anything.
            hasty.Dispose();
            await ReleaseAsync(channel, acquired[3].Lease.LeaseId);
            await host.Leases.RevokeAsync(new LeaseId(acquired[4].Lease.LeaseId));
            await unread.Socket.ReceiveAsync(new byte[1], SocketFlags.Peek, TestToken);
        }

        time.Advance(TicketLimits.ValidFor);
        for (int ended = 0; ended < acquired.Length; ended++)
        {
            await host.NextEndAsync();
        }

        await UntilAsync(() => TestDescriptors.CountOpen(inodes) == 0);
        time.Advance(TicketLimits.GuessingWindow);
    }

    private static async Task<ReleaseResponse> ReleaseAsync(UnixGrpcChannel channel, ulong id) => await channel.UnaryAsync<ReleaseRequest, ReleaseResponse>(
        "/barbroker.v1.Broker/Release", new ReleaseRequest { LeaseId = id }, new CallOptions(CancellationToken: TestToken));

    /// <summary>For what is true soon, and tells nobody when.</summary>
    private static async Task UntilAsync(Func<bool> isTrue)
    {
        while (!isTrue())
        {
            await Task.Delay(5, TestToken);
        }
    }
}
