using BarBroker.Tests.Grpc;
using BarBroker.Tests.Leases;
using BarBroker.Tests.Transport;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Redeem;
using BarBroker.Unix;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Tickets;

/// <summary>What becomes of tickets, on a clock of the test's own, for users of its own choice.</summary>
public sealed class TicketBookTests : IDisposable
{
    private const uint Alice = 1000;
    private const uint Bob = 1001;

    private readonly FakeTimeProvider _time = new();
    private readonly TestLog _log = new();
    private readonly DescriptorBudget _budget = new(100, 100, new WireCounters());
    private readonly WireCounters _counters = new();
    private readonly ConnectionNumbers _numbers = new();
    private readonly TicketBook _book;
    private readonly UserAccounts _accounts;
    private readonly List<SocketPair> _sockets = [];
    private readonly List<AcceptedPeer> _peers = [];
    private readonly FakeConnection _alice = new(100, Alice);

    public TicketBookTests()
    {
        _accounts = new UserAccounts(new UserLimits(1000, 1000, 1000, 1000), _budget, _time, TimeProvider.System);
        _book = new TicketBook(_budget, _numbers, new TicketLog(_log.CreateLogger("tickets"), new WarningThrottle(_time)), _counters, _time);
    }

    public void Dispose()
    {
        _book.Dispose();
        _log.Dispose();
        _counters.Dispose();
        _peers.ForEach(peer => peer.Close());
        _sockets.ForEach(sockets => sockets.Dispose());
    }

    [Fact]
    public void A_ticket_is_redeemed_once()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();

        Assert.Equal(RedeemAnswer.Granted, Redeem(secret, Alice, out TicketConnection? granted));
        Assert.Same(ticket, granted);
        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Alice));
        Assert.Contains("Used", Assert.Single(_log.Entries).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_users_ticket_is_refused_and_stays_good_for_its_own()
    {
        (_, TicketSecret secret) = Issue();

        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Bob));
        Assert.Contains("OfAnotherUser", Assert.Single(_log.Entries).Message, StringComparison.Ordinal);
        Assert.Equal(RedeemAnswer.Granted, Redeem(secret, Alice));
        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Bob));
        Assert.Contains("OfAnotherUser", _log.Entries.Last().Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_ticket_expires_and_with_it_what_it_held()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();
        OwnedDescriptor descriptor = TestDescriptors.Create();
        ticket.QueueDescriptor(descriptor);
        Assert.Equal(1, _budget.Used);

        _time.Advance(TicketLimits.ValidFor - TimeSpan.FromTicks(1));
        Assert.False(ticket.Closed.IsCancellationRequested);

        _time.Advance(TimeSpan.FromTicks(1));
        Assert.True(ticket.Closed.IsCancellationRequested);
        Assert.True(descriptor.IsClosed);
        Assert.Equal(0, _budget.Used);
        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Alice));
        Assert.Contains("Expired", Assert.Single(_log.Entries).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_redeemed_ticket_does_not_expire()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();
        Redeem(secret, Alice);

        _time.Advance(TimeSpan.FromDays(10));

        Assert.False(ticket.Closed.IsCancellationRequested);
    }

    [Fact]
    public void A_ticket_whose_lease_ended_is_answered_so_to_its_own_user_only()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();
        OwnedDescriptor descriptor = TestDescriptors.Create();
        ticket.QueueDescriptor(descriptor);

        ticket.EndWithLease();

        Assert.True(ticket.Closed.IsCancellationRequested);
        Assert.True(descriptor.IsClosed);
        Assert.Equal(RedeemAnswer.LeaseOver, Redeem(secret, Alice));
        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Bob));
    }

    [Fact]
    public void A_lease_that_ends_before_its_ticket_is_given_out_is_answered_so()
    {
        TicketConnection ticket = _book.Issue(_alice, process: null);
        ticket.EndWithLease();

        Assert.Equal(RedeemAnswer.LeaseOver, Redeem(ticket.Open(), Alice));
    }

    [Fact]
    public void A_descriptor_that_comes_after_the_end_is_closed()
    {
        TicketConnection ticket = _book.Issue(_alice, process: null);
        ticket.EndWithLease();
        OwnedDescriptor late = TestDescriptors.Create();

        Assert.Throws<IOException>(() => ticket.QueueDescriptor(late));

        Assert.True(late.IsClosed);
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void A_descriptor_without_a_place_in_the_budget_is_closed_and_refused()
    {
        TicketBook book = new(new DescriptorBudget(0, 0, new WireCounters()), _numbers, new TicketLog(_log.CreateLogger("tickets"), new WarningThrottle(_time)), _counters, _time);
        TicketConnection ticket = book.Issue(_alice, process: null);
        OwnedDescriptor descriptor = TestDescriptors.Create();

        Assert.Throws<DescriptorBudgetException>(() => ticket.QueueDescriptor(descriptor));

        Assert.True(descriptor.IsClosed);
    }

    [Fact]
    public void The_acquirers_process_counts_until_the_ticket_is_redeemed_and_then_the_redeemers()
    {
        FakeConnection bystander = new(101, Alice);
        (TicketConnection waiting, _) = Issue(bystander);
        (TicketConnection redeemed, TicketSecret secret) = Issue();
        AcceptedPeer peer = Accept(Alice);
        Assert.Equal(RedeemAnswer.Granted, _book.Redeem(secret, peer, out _));
        redeemed.HandOver(peer);
        Assert.Equal(Environment.ProcessId, redeemed.Credentials.Pid);

        bystander.Exit();
        _alice.Exit();

        Assert.True(waiting.ProcessExited.IsCancellationRequested);
        Assert.False(redeemed.ProcessExited.IsCancellationRequested);

        (TicketConnection orphan, TicketSecret another) = Issue(new FakeConnection(102, Alice));
        AcceptedPeer gone = Accept(Alice, isAlive: false);
        Assert.Equal(RedeemAnswer.Granted, _book.Redeem(another, gone, out _));
        orphan.HandOver(gone);
        Assert.True(orphan.ProcessExited.IsCancellationRequested);
    }

    [Fact]
    public void A_lease_that_ends_in_between_has_no_descriptor_to_hand_over()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();
        ticket.QueueDescriptor(TestDescriptors.Create());
        AcceptedPeer peer = Accept(Alice);
        Assert.Equal(RedeemAnswer.Granted, _book.Redeem(secret, peer, out _));

        ticket.EndWithLease();

        Assert.Null(ticket.HandOver(peer));
        Assert.Equal(0, _budget.Used);
    }

    [Fact]
    public void A_user_has_so_many_unredeemed_tickets_and_no_more()
    {
        (TicketConnection Ticket, TicketSecret Secret)[] issued = [.. Enumerable.Range(0, TicketLimits.UnredeemedPerUser).Select(_ => Issue())];

        Assert.Contains("64 tickets", Assert.Throws<TicketLimitException>(() => _book.Issue(_alice, process: null)).Message, StringComparison.Ordinal);
        Issue(new FakeConnection(200, Bob));

        Redeem(issued[0].Secret, Alice);
        Issue();
        issued[1].Ticket.EndWithLease();
        Issue();
        Assert.Throws<TicketLimitException>(() => _book.Issue(_alice, process: null));
        _time.Advance(TicketLimits.ValidFor);
        Assert.All(Enumerable.Range(0, TicketLimits.UnredeemedPerUser), _ => Issue());
    }

    [Fact]
    public void Who_guesses_is_not_looked_at_for_the_rest_of_the_minute_and_logged_once()
    {
        (_, TicketSecret secret) = Issue();
        for (int i = 0; i < TicketLimits.WrongPerWindow; i++)
        {
            Assert.False(_book.IsBlocked(Alice));
            Assert.Equal(RedeemAnswer.Refused, Redeem(TicketSecret.Create(), Alice));
            _time.Advance(TimeSpan.FromSeconds(1));
        }

        Assert.True(_book.IsBlocked(Alice));
        Assert.False(_book.IsBlocked(Bob));
        Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Alice));
        Assert.Equal(RedeemAnswer.Refused, Redeem(TicketSecret.Create(), Alice));
        Assert.Single(_log.Entries, entry => entry.EventId == 123);
        Assert.Equal(TicketLimits.WrongPerWindow, _counters.TicketsRefused[RefusedTicket.Unknown]);
        Assert.Equal(2, _counters.TicketsRefused[RefusedTicket.Blocked]);
        Assert.Equal(1, _log.Entries.Count(entry => entry.EventId == 124));

        _time.Advance(TicketLimits.GuessingWindow - TimeSpan.FromSeconds(TicketLimits.WrongPerWindow) - TimeSpan.FromTicks(1));
        Assert.True(_book.IsBlocked(Alice));
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.False(_book.IsBlocked(Alice));
        (_, TicketSecret next) = Issue();
        Assert.Equal(RedeemAnswer.Granted, Redeem(next, Alice));
    }

    [Fact]
    public void Wrong_tickets_that_are_minutes_apart_block_nobody()
    {
        for (int i = 0; i < 3 * TicketLimits.WrongPerWindow; i++)
        {
            Redeem(TicketSecret.Create(), Alice);
            _time.Advance((TicketLimits.GuessingWindow / (TicketLimits.WrongPerWindow - 1)) + TimeSpan.FromTicks(1));
            Assert.False(_book.IsBlocked(Alice));
        }
    }

    [Fact]
    public void The_end_of_the_broker_ends_what_nobody_redeemed()
    {
        (TicketConnection ticket, TicketSecret secret) = Issue();
        OwnedDescriptor descriptor = TestDescriptors.Create();
        ticket.QueueDescriptor(descriptor);

        _book.Dispose();

        Assert.True(ticket.Closed.IsCancellationRequested);
        Assert.True(descriptor.IsClosed);
        Assert.NotEqual(RedeemAnswer.Granted, Redeem(secret, Alice));
    }

    [Fact]
    public void Ones_own_tickets_that_came_too_late_are_no_guesses()
    {
        TicketSecret[] secrets = [.. Enumerable.Range(0, 2 * TicketLimits.WrongPerWindow).Select(_ => Issue().Secret)];
        _time.Advance(TicketLimits.ValidFor);

        Assert.All(secrets, secret => Assert.Equal(RedeemAnswer.Refused, Redeem(secret, Alice)));

        Assert.False(_book.IsBlocked(Alice));
        Assert.Equal(secrets.Length, _counters.TicketsRefused[RefusedTicket.Expired]);

        // Another user's are.
        Assert.All(secrets.Take(TicketLimits.WrongPerWindow), secret => Redeem(secret, Bob));
        Assert.True(_book.IsBlocked(Bob));
        Assert.Equal(TicketLimits.WrongPerWindow, _counters.TicketsRefused[RefusedTicket.OfAnotherUser]);
    }

    [Fact]
    public void No_secret_gets_into_the_log()
    {
        SecretCatcher log = new();
        TicketBook book = new(_budget, _numbers, new TicketLog(log, new WarningThrottle(_time)), _counters, _time);
        List<string> secrets = [];
        foreach (Action<TicketConnection, TicketSecret> use in (Action<TicketConnection, TicketSecret>[])
            [
                (ticket, secret) => book.Redeem(secret, Accept(Alice), out _),
                (ticket, secret) => book.Redeem(secret, Accept(Bob), out _),
                (ticket, _) => ticket.EndWithLease(),
                (_, _) => _time.Advance(TicketLimits.ValidFor),
            ])
        {
            TicketConnection ticket = book.Issue(_alice, process: null);
            TicketSecret secret = ticket.Open();
            secrets.Add(secret.Reveal());
            use(ticket, secret);
            book.Redeem(secret, Accept(Alice), out _);
        }

        Assert.NotEmpty(log.Lines);
        Assert.DoesNotContain(log.Lines, line => secrets.Exists(secret => line.Contains(secret, StringComparison.OrdinalIgnoreCase)));
    }

    private (TicketConnection Ticket, TicketSecret Secret) Issue(FakeConnection? acquirer = null)
    {
        TicketConnection ticket = _book.Issue(acquirer ?? _alice, process: null);
        return (ticket, ticket.Open());
    }

    private RedeemAnswer Redeem(TicketSecret secret, uint uid) => Redeem(secret, uid, out _);

    private RedeemAnswer Redeem(TicketSecret secret, uint uid, out TicketConnection? ticket) => _book.Redeem(secret, Accept(uid), out ticket);

    private AcceptedPeer Accept(uint uid, bool isAlive = true)
    {
        SocketPair sockets = new();
        _sockets.Add(sockets);
        ProcessExitWatch? process = isAlive ? new ProcessExitWatch(PeerIdentity.OpenProcess(sockets.Server.SafeHandle, Environment.ProcessId, out _)!) : null;
        _accounts.TryOpen(uid, out UserAccount? account);
        AcceptedPeer peer = new(
            _numbers.Next(), sockets.Server, null!, new PeerCredentials(uid, uid, [], Environment.ProcessId), process, new CancellationTokenSource(), _accounts, account!);
        _peers.Add(peer);
        return peer;
    }

    private sealed class SecretCatcher : ILogger
    {
        public List<string> Lines { get; } = [];

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
            => Lines.Add(formatter(state, exception));
    }
}
