using BarBroker.Transport.Pacing;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class UserPaceTests : IDisposable
{
    private static readonly PaceLimit Limit = new(BurstMicroseconds: 1_000, MicrosecondsPerSecond: 5_000);

    /// <summary>How much later than the debt is paid the timer is set.</summary>
    private static readonly TimeSpan Grain = TimeSpan.FromMilliseconds(1);

    private readonly FakeTimeProvider _time = new();
    private readonly UserPace _pace;
    private readonly long _start;
    private readonly SocketPair _sockets = new();

    public UserPaceTests()
    {
        _start = _time.GetTimestamp();
        _pace = new UserPace(Limit, _time);
    }

    public void Dispose() => _sockets.Dispose();

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Who_owes_little_needs_no_turn()
    {
        _pace.Charge((Limit.BurstMicroseconds / PaceLimits.TurnsFromPart) - 1);

        using Turn first = await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken);
        using Turn second = await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken);

        Assert.False(first.IsTaken || second.IsTaken);
    }

    [Fact]
    public async Task From_a_part_of_the_burst_on_connections_take_turns_without_being_slowed_down()
    {
        _pace.Charge(Limit.BurstMicroseconds / PaceLimits.TurnsFromPart);

        await AssertTurnsAsync();
    }

    [Fact]
    public async Task The_same_with_so_many_calls_under_way()
    {
        for (int i = 1; i < PaceLimits.TurnsFromCalls; i++)
        {
            _pace.BeginCall();
        }

        Assert.False((await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken)).IsTaken);

        _pace.BeginCall();
        await AssertTurnsAsync();

        _pace.EndCall();
        Assert.False((await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken)).IsTaken);
    }

    [Fact]
    public async Task A_burst_is_free_and_what_is_more_is_waited_for()
    {
        _pace.Charge(Limit.BurstMicroseconds);
        (await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken)).Dispose();

        _pace.Charge(Limit.MicrosecondsPerSecond);
        Task<Turn> turn = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();

        await AdvanceAsync(TimeSpan.FromSeconds(1) - Grain);
        Assert.False(turn.IsCompleted);
        await AdvanceUntilAsync(turn);
        Assert.True((await turn).IsSlowed);
        Assert.InRange(_time.GetElapsedTime(_start), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(2));
    }

    [Fact]
    public async Task Each_turn_of_one_who_is_slowed_down_has_its_price()
    {
        _pace.Charge(Limit.BurstMicroseconds + 1);
        Task<Turn> first = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();
        await AdvanceUntilAsync(first);
        (await first).Dispose();
        long paid = _time.GetTimestamp();

        Task<Turn> second = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();

        await AdvanceUntilAsync(second);
        Assert.True((await second).IsSlowed);
        TimeSpan price = TimeSpan.FromSeconds((double)PaceLimits.Turn / Limit.MicrosecondsPerSecond);
        Assert.InRange(_time.GetElapsedTime(paid), price - (3 * Grain), 10 * price);
    }

    [Fact]
    public async Task Nobody_owes_more_than_the_most()
    {
        for (int i = 0; i < 10; i++)
        {
            _pace.Charge(int.MaxValue);
        }

        Task<Turn> turn = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();

        await AdvanceUntilAsync(turn);
        (await turn).Dispose();
        TimeSpan most = TimeSpan.FromSeconds((double)PaceLimits.MostOwed / Limit.MicrosecondsPerSecond);
        Assert.InRange(_time.GetElapsedTime(_start), most, 2 * most);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_that_ends_while_it_waits_leaves_the_turn_to_others(bool hasTurn)
    {
        using CancellationTokenSource over = new();
        _pace.Charge(Limit.BurstMicroseconds + Limit.MicrosecondsPerSecond);
        Task<Turn> first = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, hasTurn ? over.Token : TestToken).AsTask();
        Task<Turn> second = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, hasTurn ? TestToken : over.Token).AsTask();

        await over.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hasTurn ? first : second);
        Task<Turn> other = hasTurn ? second : first;
        await AdvanceUntilAsync(other);
        (await other).Dispose();
        _time.Advance(TimeSpan.FromSeconds(1));
        (await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken)).Dispose();
    }

    [Fact]
    public async Task One_who_has_left_waits_for_nothing_and_pays_nothing()
    {
        _pace.Charge(Limit.BurstMicroseconds + Limit.MicrosecondsPerSecond);
        _sockets.Client.Send(new byte[10]);
        _sockets.Client.Dispose();

        for (int i = 0; i < 1000; i++)
        {
            using Turn turn = await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken);
            Assert.True(turn.HasLeft);
        }

        _time.Advance(TimeSpan.FromSeconds((double)(Limit.BurstMicroseconds + Limit.MicrosecondsPerSecond) / Limit.MicrosecondsPerSecond));
        Assert.True(_pace.IsClear);
    }

    [Fact]
    public void What_is_owed_is_paid_by_time_alone()
    {
        Assert.True(_pace.IsClear);
        _pace.Charge(Limit.MicrosecondsPerSecond);
        Assert.False(_pace.IsClear);

        _time.Advance(TimeSpan.FromSeconds(1));

        Assert.True(_pace.IsClear);
    }

    [Fact]
    public async Task One_who_leaves_while_another_waits_for_its_turn_is_let_go()
    {
        using SocketPair others = new();
        _pace.Charge(int.MaxValue);
        Task<Turn> first = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();
        Task<Turn> second = _pace.TakeTurnAsync(others.Server.SafeHandle, TestToken).AsTask();

        others.Client.Dispose();

        await AdvanceUntilAsync(second);
        Assert.True((await second).HasLeft);
        Assert.False(first.IsCompleted);
        await AdvanceUntilAsync(first);
    }

    /// <summary>By a grain at a time, since each look at who is left sets a timer anew.</summary>
    private async Task AdvanceUntilAsync(Task task)
    {
        while (!task.IsCompleted)
        {
            _time.Advance(Grain);
            await Task.Yield();
        }
    }

    private async Task AdvanceAsync(TimeSpan span)
    {
        for (long start = _time.GetTimestamp(); _time.GetElapsedTime(start) < span;)
        {
            _time.Advance(Grain);
            await Task.Yield();
        }
    }

    private async Task AssertTurnsAsync()
    {
        Turn first = await _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken);
        Assert.True(first.IsTaken);
        Assert.False(first.IsSlowed);
        Task<Turn> second = _pace.TakeTurnAsync(_sockets.Server.SafeHandle, TestToken).AsTask();
        Assert.False(second.IsCompleted);

        first.Dispose();

        using Turn taken = await second;
        Assert.False(taken.IsSlowed);
    }
}
