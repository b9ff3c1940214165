using System.Threading.Channels;
using BarBroker.Devices;
using BarBroker.Devices.Vfio;
using BarBroker.Hosting;
using BarBroker.Leases;
using BarBroker.Policy;
using BarBroker.Rpc;
using BarBroker.Rpc.Services;
using BarBroker.Tests.Grpc;
using BarBroker.Tests.Leases;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Tests.Hosting;

/// <summary>Three devices, one of which goes away, returns, hangs, and another is being opened when the broker begins to serve.</summary>
public sealed class DeviceSupervisorTests : IAsyncLifetime
{
    private readonly FakeBarDevice _device = new();
    private readonly FakeBarDevice _neighbour = new("dev1");
    private readonly FakeBarDevice _late = new("dev2");
    private readonly TaskCompletionSource<IBarDevice> _opening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly UnopenedDevice _unopened;
    private readonly FakeTimeProvider _time = new();
    private readonly FakeConnection _holder = new(1);
    private readonly HealthStatus _health = new();
    private readonly TestLog _log = new();
    private readonly ServedDevices _served;
    private readonly LeaseTable _table;
    private readonly DeviceSupervisor _supervisor;

    /// <summary>What each opening comes to; the test puts it in after it has seen the opening begin.</summary>
    private readonly Channel<Func<IBarDevice>> _openings = Channel.CreateUnbounded<Func<IBarDevice>>();
    private readonly Channel<string> _opened = Channel.CreateUnbounded<string>();

    public DeviceSupervisorTests()
    {
        BrokerPolicy policy = PolicyReader.Read(
            """{ "devices": { "dev0": { "address": "0000:01:00.0" }, "dev1": { "address": "0000:02:00.0" }, "dev2": { "address": "0000:03:00.0" } } }"""u8, "policy.json");
        _unopened = new UnopenedDevice("dev2", null, _opening.Task);
        _served = new ServedDevices(policy, [_device, _neighbour, _unopened]);
        _table = new LeaseTable([_device, _neighbour], new LeaseLimits(), _time, NullLogger<LeaseTable>.Instance);
        _supervisor = new DeviceSupervisor(_served, _table, _health, ReopenAsync, _time, new Logger<DeviceSupervisor>(_log));
        _supervisor.Start();
    }

    /// <summary>How long a test that fails waits for what never comes.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        // It waits for what is being opened.
        _opening.TrySetResult(_late);
        await _supervisor.DisposeAsync();
        await _device.DisposeAsync();
        await _neighbour.DisposeAsync();
        await _late.DisposeAsync();
        _log.Dispose();
    }

    [Fact]
    public async Task A_device_that_the_kernel_wants_back_is_given_back_and_its_neighbour_is_not()
    {
        await AcquireAsync(_device);
        await AcquireAsync(_neighbour);

        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);

        Assert.Empty(_device.Reachable);
        Assert.Single(_neighbour.Reachable);
        Assert.Equal((ServingStatus.NotServing, ServingStatus.Serving), (_health.Get("device/dev0"), _health.Get("device/dev1")));
    }

    [Fact]
    public async Task A_device_that_returns_is_taken_back_under_its_name()
    {
        await AcquireAsync(_device);
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await using FakeBarDevice next = new();

        await HealthIsAsync(ServingStatus.Serving, async () => await OfferAsync(() => next));

        Assert.Same(next, _served["dev0"]);
        await AcquireAsync(next);
        next.GoAway();
        await next.GivenBack.WaitAsync(Token);
    }

    [Fact]
    public async Task Nothing_is_opened_before_the_old_device_is_closed()
    {
        _device.KeptWhenDisposed = true;
        _device.GoAway();
        _supervisor.LookAgain();

        Assert.False(_opened.Reader.TryRead(out _));
        _device.GiveBack();

        Assert.Equal("dev0", await _opened.Reader.ReadAsync(Token));
        await using FakeBarDevice next = new();
        await HealthIsAsync(ServingStatus.Serving, () => _openings.Writer.WriteAsync(() => next, Token).AsTask());
    }

    [Fact]
    public async Task What_can_not_be_opened_yet_is_tried_again_at_the_next_sign_and_says_why()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await OfferAsync(() => throw new StartException("/dev/vfio/7 can't be opened"));

        // The next opening begins only when the last is dealt with.
        await using FakeBarDevice next = new();
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);
        Assert.Equal("/dev/vfio/7 can't be opened", _served.NoteOf("dev0"));
        await HealthIsAsync(ServingStatus.Serving, () => _openings.Writer.WriteAsync(() => next, Token).AsTask());

        Assert.Null(_served.NoteOf("dev0"));
    }

    [Fact]
    public async Task A_failure_that_nobody_thought_of_does_not_end_the_looking_after()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await OfferAsync(() => throw new InvalidOperationException("the function vanished"));

        await using FakeBarDevice next = new();
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token).AsTask().WaitAsync(Patience, Token);
        Assert.Equal("the function vanished", _served.NoteOf("dev0"));
        await HealthIsAsync(ServingStatus.Serving, () => _openings.Writer.WriteAsync(() => next, Token).AsTask());
    }

    [Fact]
    public async Task What_is_in_use_is_warned_of_once_and_tried_again_after_a_while_without_a_sign()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await OfferAsync(() => throw new StartException("another process has it"));
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);

        // The first failure is dealt with. The time runs out during the second opening, so that there is a third.
        _time.Advance(DeviceSupervisor.ReopenInterval);
        _openings.Writer.TryWrite(() => throw new StartException("another process has it"));
        await _opened.Reader.ReadAsync(Token).AsTask().WaitAsync(Patience, Token);

        Assert.Equal([1307], _log.Entries.Select(entry => entry.EventId));
        await using FakeBarDevice next = new();
        await HealthIsAsync(ServingStatus.Serving, () => _openings.Writer.WriteAsync(() => next, Token).AsTask());
    }

    [Fact]
    public async Task What_is_not_there_is_no_cause_for_a_warning()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await OfferAsync(() => throw new StartException("there is no such function") { IsAbsent = true });
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);

        Assert.Equal("there is no such function", _served.NoteOf("dev0"));
        Assert.Empty(_log.Entries);
        _openings.Writer.TryWrite(() => throw new StartException("the test is over"));
    }

    [Fact]
    public async Task An_opening_of_which_the_kernel_does_not_return_is_told_of_the_device()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);

        _time.Advance(DeviceThread.Overdue);

        Assert.Equal("The kernel has not returned from opening it for 10 s: see its log.", _served.NoteOf("dev0"));
        await using FakeBarDevice next = new();
        await HealthIsAsync(ServingStatus.Serving, () => _openings.Writer.WriteAsync(() => next, Token).AsTask());
        Assert.Null(_served.NoteOf("dev0"));
    }

    [Fact]
    public async Task A_device_that_does_not_fit_the_policy_stays_gone_and_is_told_of_once()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        PolicyErrors errors = new("policy.json");
        errors.Add(new FilePosition(3, 4), "devices.dev0.windows.left", "beyond the BAR");
        for (int sign = 1; sign <= 2; sign++)
        {
            await OfferAsync(() =>
            {
                errors.ThrowIfAny();
                return _device;
            });
        }

        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);

        Assert.Equal([1303], _log.Entries.Select(entry => entry.EventId));
        Assert.Contains("does not fit the policy: policy.json:3:4: devices.dev0.windows.left: beyond the BAR", _served.NoteOf("dev0"), StringComparison.Ordinal);
        Assert.Equal((DeviceState.Gone, ServingStatus.NotServing), (_served["dev0"].ConditionOf().State, _health.Get("device/dev0")));
        _openings.Writer.TryWrite(() => throw new StartException("the test is over"));
    }

    [Fact]
    public async Task What_could_not_be_confirmed_is_over_once_the_device_is_closed()
    {
        await AcquireAsync(_device);
        _device.RevokeFails = _ => true;
        _device.GoAway();
        await using FakeBarDevice next = new();

        await HealthIsAsync(ServingStatus.Serving, async () => await OfferAsync(() => next));

        Assert.Empty(_table.List(_ => true));
        Assert.Equal(0, _table.CountQuarantined(_device));
    }

    [Theory]
    [InlineData("stuck")]
    [InlineData("suspended")]
    public async Task A_device_that_can_not_be_leased_does_not_serve_until_it_can(string how)
    {
        _device.Become(condition => how == "stuck" ? condition with { StuckIn = "reset" } : condition with { Suspended = SuspendReason.LowPower });
        Assert.Equal((ServingStatus.NotServing, ServingStatus.Serving), (_health.Get("device/dev0"), _health.Get("device/dev1")));

        _device.Become(_ => DeviceCondition.Serving);

        Assert.Equal(ServingStatus.Serving, _health.Get("device/dev0"));
        await AcquireAsync(_device);
    }

    [Fact]
    public async Task A_device_that_is_still_being_opened_is_stuck_and_holds_up_no_other()
    {
        Assert.Equal((ServingStatus.NotServing, ServingStatus.Serving), (_health.Get("device/dev2"), _health.Get("device/dev0")));
        LeaseRefusedException refused = await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(_unopened));
        Assert.Equal(LeaseRefusal.DeviceStuck, refused.Refusal);
        Assert.Contains("the kernel does not return from 'open'", refused.Message, StringComparison.Ordinal);

        await AcquireAsync(_device);
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        await using FakeBarDevice next = new();
        await HealthIsAsync(ServingStatus.Serving, async () => await OfferAsync(() => next));
    }

    [Fact]
    public async Task A_device_whose_opening_returns_late_is_taken_in_and_looked_after_like_any()
    {
        await HealthIsAsync(
            ServingStatus.Serving,
            () =>
            {
                _opening.SetResult(_late);
                return Task.CompletedTask;
            },
            "dev2");

        Assert.Same(_late, _served["dev2"]);
        await AcquireAsync(_late);
        _late.GoAway();
        await _late.GivenBack.WaitAsync(Token);
    }

    [Fact]
    public async Task A_late_opening_that_comes_to_nothing_leaves_a_device_that_is_gone_and_is_taken_in_at_the_next_sign()
    {
        TaskCompletionSource<DeviceChange> changed = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _unopened.Changed += changed.SetResult;
        _opening.SetException(new StartException("another process has it"));
        await changed.Task.WaitAsync(Patience, Token);

        Assert.Equal((DeviceState.Gone, "another process has it"), (_served["dev2"].ConditionOf().State, _served.NoteOf("dev2")));
        Assert.Equal(ServingStatus.NotServing, _health.Get("device/dev2"));
        Assert.Equal(LeaseRefusal.DeviceGone, (await Assert.ThrowsAsync<LeaseRefusedException>(() => AcquireAsync(_unopened))).Refusal);
        await HealthIsAsync(ServingStatus.Serving, async () => await OfferAsync(() => _late, "dev2"), "dev2");
        Assert.Null(_served.NoteOf("dev2"));
    }

    [Fact]
    public async Task Whoever_hears_from_the_log_that_an_opening_failed_finds_the_device_gone_and_why()
    {
        TaskCompletionSource<(string? Note, DeviceState State)> heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _log.Logged = _ => heard.TrySetResult((_served.NoteOf("dev2"), _served["dev2"].ConditionOf().State));

        _opening.SetException(new StartException("another process has it"));

        Assert.Equal(("another process has it", DeviceState.Gone), await heard.Task.WaitAsync(Patience, Token));
    }

    [Fact]
    public async Task A_device_whose_opening_returns_while_the_broker_stops_is_not_served()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);
        await using FakeBarDevice next = new();

        Task stopping = _supervisor.DisposeAsync().AsTask();
        _opening.SetResult(_late);
        _openings.Writer.TryWrite(() => next);
        await stopping.WaitAsync(Patience, Token);

        Assert.Same(_device, _served["dev0"]);
        Assert.Same(_unopened, _served["dev2"]);
        Assert.Equal((ServingStatus.NotServing, ServingStatus.NotServing), (_health.Get("device/dev0"), _health.Get("device/dev2")));
    }

    [Fact]
    public async Task An_opening_that_fails_while_the_broker_stops_is_no_cause_for_a_warning()
    {
        _device.GoAway();
        await _device.GivenBack.WaitAsync(Token);
        _supervisor.LookAgain();
        await _opened.Reader.ReadAsync(Token);

        Task stopping = _supervisor.DisposeAsync().AsTask();
        _opening.SetException(new StartException("another process has it"));
        _openings.Writer.TryWrite(() => throw new ObjectDisposedException("the opener"));
        await stopping.WaitAsync(Patience, Token);

        Assert.Empty(_log.Entries);
        Assert.Equal((null, null), (_served.NoteOf("dev0"), _served.NoteOf("dev2")));
    }

    [Fact]
    public async Task A_quarantine_is_tried_again_after_a_while_and_again_until_it_ends()
    {
        await QuarantineAsync();
        Assert.Equal(ServingStatus.NotServing, _health.Get("device/dev0"));
        _device.RevokeCalled.Close();

        _time.Advance(DeviceSupervisor.RetryInterval);
        TaskCompletionSource first = await _device.RevokeCalled.ArrivalAsync();
        TaskCompletionSource told = new();

        // After the supervisor, which began to listen before.
        _table.QuarantineChanged += _ => told.TrySetResult();
        first.SetResult();
        await told.Task.WaitAsync(Token);
        _time.Advance(DeviceSupervisor.RetryInterval);
        TaskCompletionSource last = await _device.RevokeCalled.ArrivalAsync();
        _device.RevokeFails = _ => false;

        await HealthIsAsync(ServingStatus.Serving, () =>
        {
            last.SetResult();
            return Task.CompletedTask;
        });
        Assert.Empty(_table.List(_ => true));
    }

    [Fact]
    public async Task A_quarantine_is_tried_again_when_a_stuck_device_moves()
    {
        await QuarantineAsync();
        _device.Become(condition => condition with { StuckIn = "revoke" });
        _device.RevokeFails = _ => false;

        await HealthIsAsync(ServingStatus.Serving, () =>
        {
            _device.Become(_ => DeviceCondition.Serving);
            return Task.CompletedTask;
        });
    }

    private async Task QuarantineAsync()
    {
        LeaseId id = await AcquireAsync(_device);
        _device.RevokeFails = _ => true;
        Assert.Equal([id], (await _table.RevokeAsync(id))!.Unconfirmed);
    }

    private async Task<LeaseId> AcquireAsync(IBarDevice device)
    {
        LeaseRequest request = new(device, null, Ranges.List(Ranges.Of(0, 0, 1)), ExportOptions.ReadWrite, Exclusive: true);
        return (await _table.AcquireAsync(_holder, request, Token)).Lease.Id;
    }

    /// <summary>Gives a sign, waits for the opening that follows, and says what it comes to.</summary>
    private async Task OfferAsync(Func<IBarDevice> opening, string name = "dev0")
    {
        _supervisor.LookAgain();
        Assert.Equal(name, await _opened.Reader.ReadAsync(Token));
        _openings.Writer.TryWrite(opening);
    }

    /// <summary>Waits for a change of a device's health that <paramref name="cause"/> brings about.</summary>
    private async Task HealthIsAsync(ServingStatus expected, Func<Task> cause, string name = "dev0")
    {
        await using IAsyncEnumerator<ServingStatus> statuses = _health.WatchAsync($"device/{name}", Token).GetAsyncEnumerator(Token);
        Assert.True(await statuses.MoveNextAsync());
        await cause();
        while (statuses.Current != expected)
        {
            Assert.True(await statuses.MoveNextAsync());
        }
    }

    private async Task<IBarDevice> ReopenAsync(DeviceDefinition definition)
    {
        await _opened.Writer.WriteAsync(definition.Name);
        return (await _openings.Reader.ReadAsync())();
    }
}
