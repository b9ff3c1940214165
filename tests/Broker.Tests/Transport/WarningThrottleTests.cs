using BarBroker.Transport;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class WarningThrottleTests
{
    private readonly FakeTimeProvider _time = new();
    private readonly WarningThrottle _throttle;

    public WarningThrottleTests() => _throttle = new WarningThrottle(_time);

    [Fact]
    public void One_line_passes_and_the_next_one_later_says_how_many_there_were_between()
    {
        Assert.True(_throttle.Passes(1, 1000, out long more));
        Assert.Equal(0, more);
        for (int i = 0; i < 5; i++)
        {
            Assert.False(_throttle.Passes(1, 1000, out _));
        }

        _time.Advance(WarningThrottle.Interval - TimeSpan.FromTicks(1));
        Assert.False(_throttle.Passes(1, 1000, out _));
        _time.Advance(TimeSpan.FromTicks(1));
        Assert.True(_throttle.Passes(1, 1000, out more));
        Assert.Equal(6, more);

        _time.Advance(WarningThrottle.Interval);
        Assert.True(_throttle.Passes(1, 1000, out more));
        Assert.Equal(0, more);
    }

    [Fact]
    public void One_kind_and_one_user_do_not_silence_others()
    {
        Assert.True(_throttle.Passes(1, 1000, out _));
        Assert.True(_throttle.Passes(2, 1000, out _));
        Assert.True(_throttle.Passes(1, 1001, out _));
        Assert.True(_throttle.Passes(1, uid: null, out _));
        Assert.False(_throttle.Passes(1, uid: null, out _));
    }

    [Fact]
    public void Users_beyond_those_that_are_remembered_share_a_line()
    {
        for (uint uid = 0; uid < WarningThrottle.MostRemembered; uid++)
        {
            Assert.True(_throttle.Passes(1, uid, out _));
        }

        Assert.True(_throttle.Passes(1, 5000, out _));
        Assert.False(_throttle.Passes(1, 5001, out _));
        Assert.False(_throttle.Passes(1, 0, out _));

        // By then the others' lines are over, and forgotten.
        _time.Advance(WarningThrottle.Interval);
        Assert.True(_throttle.Passes(1, 5002, out _));
        Assert.True(_throttle.Passes(1, 5003, out _));
    }
}
