using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Transport;
using BarBroker.Transport.Redeem;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using static BarBroker.Tests.Tickets.AnswerBytes;

namespace BarBroker.Tests.Tickets;

/// <summary>How many tickets, wrong tickets and connections of a user there may be, over real sockets.</summary>
public sealed class RedeemLimitTests
{
    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_ticket_beyond_the_users_connections_is_told_so_and_stays_good()
    {
        await using TicketHost host = await TicketHost.StartAsync(maxConnections: 2);
        host.ExpectedEvents.Add(109);
        UnixGrpcChannel channel = await host.ConnectAsync();
        string secret = (await TicketHost.AcquireAsync(channel)).Ticket.Secret;
        string other = (await TicketHost.AcquireAsync(channel, page: 1)).Ticket.Secret;
        using RedeemClient first = await host.RedeemAsync(secret);
        Assert.Equal(Granted, await first.ReadAsync());

        using RedeemClient second = await host.RedeemAsync(other);
        Assert.Equal(TooManyConnections, await second.ReadLastAsync());

        first.Dispose();
        Assert.StartsWith("Lease 1 ", await host.NextEndAsync(), StringComparison.Ordinal);
        int? answer;
        do
        {
            // The place is free just after the lease is over.
            using RedeemClient again = await host.RedeemAsync(other);
            answer = await again.ReadAsync();
            TestToken.ThrowIfCancellationRequested();
        }
        while (answer == TooManyConnections);

        Assert.Equal(Granted, answer);
        await channel.DisposeAsync();
    }

    [Fact]
    public async Task Of_silent_connections_beyond_the_limit_a_few_are_waited_for_and_not_for_long()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time, maxConnections: 1);
        host.ExpectedEvents.Add(109);
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        List<RedeemClient> silent = [];
        for (int i = 0; i < TransportLimits.MaxTurnedAway; i++)
        {
            silent.Add(await RedeemClient.ConnectAsync(host.SocketPath));
        }

        using RedeemClient unasked = await RedeemClient.ConnectAsync(host.SocketPath);
        Assert.Null(await unasked.ReadAsync());
        Task<int?>[] ends = [.. silent.Select(client => client.ReadAsync())];
        Assert.DoesNotContain(ends, end => end.IsCompleted);

        time.Advance(TransportLimits.TurnedAwayTimeout);

        Assert.All(await Task.WhenAll(ends), Assert.Null);
        silent.ForEach(client => client.Dispose());
    }

    [Fact]
    public async Task Guessing_is_stopped_for_its_user_whatever_it_sends_next()
    {
        FakeTimeProvider time = new();
        await using TicketHost host = await TicketHost.StartAsync(time);
        host.ExpectedEvents.UnionWith([123, 124]);
        string secret = (await host.AcquireAsync()).Ticket.Secret;
        for (int i = 0; i < TicketLimits.WrongPerWindow; i++)
        {
            using RedeemClient guess = await host.RedeemAsync(NobodysSecret);
            Assert.Equal(Refused, await guess.ReadLastAsync());
        }

        using (RedeemClient blocked = await host.RedeemAsync(secret))
        {
            Assert.Equal(Refused, await blocked.ReadLastAsync());
        }

        // Unread: an answer before anybody could know whether it will be a ticket.
        using RedeemClient unread = await RedeemClient.SendAsync(host.SocketPath, "B");
        Assert.Equal(Refused, await unread.ReadLastAsync());
        Assert.Equal(1, host.Log.Entries.Count(entry => entry.EventId == 124));

        time.Advance(TicketLimits.GuessingWindow);
        using RedeemClient later = await host.RedeemAsync((await host.AcquireAsync(page: 1)).Ticket.Secret);
        Assert.Equal(Granted, await later.ReadAsync());
    }

    [Fact]
    public async Task One_ticket_too_many_is_refused_with_the_cure()
    {
        await using TicketHost host = await TicketHost.StartAsync(new FakeTimeProvider());
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        string secret = "";
        for (int i = 0; i < TicketLimits.UnredeemedPerUser; i++)
        {
            secret = (await TicketHost.AcquireAsync(channel, (ulong)i)).Ticket.Secret;
        }

        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => TicketHost.AcquireAsync(channel, TicketLimits.UnredeemedPerUser));
        Assert.Equal((StatusCode.ResourceExhausted, "TOO_MANY_TICKETS"), (refused.StatusCode, refused.GetReason()));
        Assert.Contains("Redeem them, or wait", refused.Status.Detail, StringComparison.Ordinal);
        Assert.Equal(TicketLimits.UnredeemedPerUser, host.Leases.List(_ => true).Length);

        using RedeemClient client = await host.RedeemAsync(secret);
        Assert.Equal(Granted, await client.ReadAsync());
        await TicketHost.AcquireAsync(channel, TicketLimits.UnredeemedPerUser);
    }

    [Fact]
    public async Task A_refused_lease_leaves_no_ticket_behind()
    {
        await using TicketHost host = await TicketHost.StartAsync(new FakeTimeProvider());
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        await TicketHost.AcquireAsync(channel);
        for (int i = 0; i < 2 * TicketLimits.UnredeemedPerUser; i++)
        {
            RpcException refused = await Assert.ThrowsAsync<RpcException>(() => TicketHost.AcquireAsync(channel));
            Assert.Equal("RANGE_LEASED", refused.GetReason());
        }
    }
}
