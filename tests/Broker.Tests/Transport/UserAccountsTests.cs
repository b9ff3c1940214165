using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Pacing;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using Answer = BarBroker.Transport.UserAccounts.Answer;

namespace BarBroker.Tests.Transport;

public sealed class UserAccountsTests : IDisposable
{
    private readonly WireCounters _counters = new();
    private readonly FakeTimeProvider _time = new();
    private readonly SocketPair _sockets = new();

    public void Dispose()
    {
        _sockets.Dispose();
        _counters.Dispose();
    }

    [Fact]
    public void One_user_can_not_take_the_others_share()
    {
        UserAccounts accounts = Create(new UserLimits(Connections: 4, ConnectionsPerUser: 2, SilentPerUser: 9, CallsPerUser: 9));

        Assert.Equal([Answer.Taken, Answer.Taken, Answer.UserFull], Open(accounts, 1, 1, 1));
        Assert.Equal([Answer.Taken, Answer.Taken, Answer.Full], Open(accounts, 2, 2, 3));
    }

    [Fact]
    public void A_connection_that_ended_makes_room_for_its_user_and_for_all()
    {
        UserAccounts accounts = Create(new UserLimits(1, 1, 9, 9));
        accounts.TryOpen(1, out UserAccount? account);

        accounts.Close(account!);

        Assert.Equal(Answer.Taken, accounts.TryOpen(2, out _));
    }

    [Fact]
    public void Of_those_that_have_not_spoken_a_user_has_fewer_and_each_that_speaks_makes_room()
    {
        UserAccounts accounts = Create(new UserLimits(9, 9, SilentPerUser: 2, 9));
        accounts.TryOpen(1, out UserAccount? account);
        Assert.Equal([Answer.Taken, Answer.UserSilent, Answer.Taken], Open(accounts, 1, 1, 2));

        accounts.EndSilence(account!);

        Assert.Equal([Answer.Taken, Answer.UserSilent], Open(accounts, 1, 1));
    }

    [Fact]
    public void A_user_whose_connections_are_ended_for_what_they_send_gets_no_other_for_a_while()
    {
        UserAccounts accounts = Create(new UserLimits(99, 99, 99, 9));
        for (int i = 1; i <= TransportLimits.OffencesPerWindow; i++)
        {
            Assert.Equal(Answer.Taken, accounts.TryOpen(1, out UserAccount? account));
            Assert.Equal(i == TransportLimits.OffencesPerWindow, accounts.AddOffence(account!));
        }

        Assert.Equal([Answer.UserBlocked, Answer.Taken], Open(accounts, 1, 2));

        _time.Advance(TransportLimits.OffenceWindow - TimeSpan.FromTicks(1));
        Assert.Equal(Answer.UserBlocked, accounts.TryOpen(1, out _));
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.Equal(Answer.Taken, accounts.TryOpen(1, out _));
    }

    [Fact]
    public void Who_connects_and_leaves_without_rest_has_to_pause_and_others_have_not()
    {
        UserAccounts accounts = Create(new UserLimits(99, 99, 99, 9));
        for (int i = 0; i < TransportLimits.ArrivalsPerWindow; i++)
        {
            Assert.Equal(Answer.Taken, accounts.TryOpen(1, out UserAccount? account));
            accounts.EndSilence(account!);
            accounts.Close(account!);
        }

        Assert.Equal([Answer.UserTooOften, Answer.Taken], Open(accounts, 1, 2));

        _time.Advance(TransportLimits.ArrivalWindow);
        Assert.Equal(Answer.Taken, accounts.TryOpen(1, out _));
    }

    [Fact]
    public void Who_leaves_calls_under_way_again_and_again_gets_no_other_connection_for_a_while_and_others_do()
    {
        UserAccounts accounts = Create(new UserLimits(99, 99, 99, 9));
        accounts.TryOpen(1, out UserAccount? account);
        accounts.AddDroppedCalls(account!, TransportLimits.DroppedCallsPerWindow - 1);
        Assert.Equal([Answer.Taken], Open(accounts, 1));

        accounts.AddDroppedCalls(account!, 2);

        Assert.Equal([Answer.UserDroppedCalls, Answer.Taken], Open(accounts, 1, 2));

        _time.Advance(TransportLimits.DroppedCallWindow);
        Assert.Equal(Answer.Taken, accounts.TryOpen(1, out _));
    }

    [Fact]
    public void Calls_are_counted_over_all_connections_of_a_user()
    {
        UserAccounts accounts = Create(new UserLimits(9, 9, 9, CallsPerUser: 2));
        accounts.TryOpen(1, out UserAccount? first);
        accounts.TryOpen(1, out UserAccount? second);
        accounts.TryOpen(2, out UserAccount? other);

        Assert.True(first!.TryBeginCall());
        Assert.True(second!.TryBeginCall());
        Assert.False(first.TryBeginCall());
        Assert.False(second.TryBeginCall());
        Assert.True(other!.TryBeginCall());
        Assert.Equal(3, accounts.Calls);

        second.EndCall();
        Assert.True(first.TryBeginCall());
    }

    [Fact]
    public void A_user_who_connects_again_finds_the_calls_that_outlived_the_last_connection()
    {
        UserAccounts accounts = Create(new UserLimits(9, 9, 9, CallsPerUser: 1));
        accounts.TryOpen(1, out UserAccount? before);
        Assert.True(before!.TryBeginCall());
        accounts.Close(before);

        accounts.TryOpen(1, out UserAccount? after);

        Assert.False(after!.TryBeginCall());
        before.EndCall();
        Assert.True(after.TryBeginCall());
    }

    [Fact]
    public void A_user_who_leaves_descriptors_unread_leaves_the_others_theirs()
    {
        DescriptorBudget budget = new(limit: 3, limitPerUser: 2, _counters);
        DescriptorShare mallory = new(budget);
        DescriptorShare alice = new(budget);

        Assert.Equal([null, null, RefusedDescriptor.User], Reserve(mallory, 3));
        Assert.Equal([null, RefusedDescriptor.All], Reserve(alice, 2));
        Assert.Equal((1, 1), (_counters.DescriptorsRefused[RefusedDescriptor.User], _counters.DescriptorsRefused[RefusedDescriptor.All]));

        mallory.Release(2);
        Assert.Equal([null, RefusedDescriptor.User], Reserve(alice, 2));
        Assert.Equal((0, 2, 2), (mallory.Used, alice.Used, budget.Used));
    }

    private static RefusedDescriptor?[] Reserve(DescriptorShare share, int count) => [.. Enumerable.Range(0, count).Select(_ => share.TryReserve())];

    private static Answer[] Open(UserAccounts accounts, params uint[] uids) => [.. uids.Select(uid => accounts.TryOpen(uid, out _))];

    [Fact]
    public void What_a_user_does_wrong_is_owed_however_often_it_comes_back()
    {
        UserAccounts accounts = Create(new UserLimits(9, 9, 9, 9) { Pace = new PaceLimit(PaceLimits.Arrival + PaceLimits.Offence + PaceLimits.DroppedCall - 1, 1_000) });
        accounts.TryOpen(1, out UserAccount? account);
        accounts.AddOffence(account!);
        Assert.False(IsSlowed(account!));
        accounts.AddDroppedCalls(account!, 1);
        Assert.True(IsSlowed(account!));

        accounts.EndSilence(account!);
        accounts.Close(account!);

        accounts.TryOpen(1, out UserAccount? again);
        Assert.True(IsSlowed(again!));
        accounts.TryOpen(2, out UserAccount? other);
        Assert.False(IsSlowed(other!));
    }

    [Fact]
    public async Task Of_a_user_who_is_slowed_down_few_connections_wait()
    {
        UserAccounts accounts = Create(new UserLimits(99, 99, 99, 9) { Pace = new PaceLimit(1_000, 1_000) });
        using CancellationTokenSource over = new();
        accounts.TryOpen(1, out UserAccount? account);
        account!.Pace.Charge(2_000);
        List<Task> waiting = [];
        for (int i = 0; i <= PaceLimits.MostWaiting; i++)
        {
            Assert.Equal(Answer.Taken, accounts.TryOpen(1, out _));
            waiting.Add(account.Pace.TakeTurnAsync(_sockets.Server.SafeHandle, over.Token).AsTask());
        }

        Assert.Equal([Answer.UserSlowed, Answer.Taken], Open(accounts, 1, 2));

        _time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(Answer.Taken, accounts.TryOpen(1, out _));
        await over.CancelAsync();
        await Task.WhenAll(waiting).ContinueWith(static _ => { }, TaskScheduler.Default);
    }

    private bool IsSlowed(UserAccount account)
    {
        ValueTask<Turn> turn = account.Pace.TakeTurnAsync(_sockets.Server.SafeHandle, new CancellationToken(canceled: true));
        if (turn.IsCompletedSuccessfully)
        {
            turn.Result.Dispose();
            return false;
        }

        return true;
    }

    private UserAccounts Create(UserLimits limits) => new(limits, new DescriptorBudget(9, 9, _counters), _time, _time);
}
