using System.Collections.Concurrent;
using BarBroker.Devices;
using BarBroker.Leases;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;
using Xunit;

namespace BarBroker.Tests.Leases;

/// <summary>
/// Random sequences of everything that can happen to a lease table, of leases with one or several ranges, with the device's answers delayed, reordered and failing. What must
/// hold whatever the order: no two reachable ranges overlap unless both are shared and of one memory type, a range is exported again only after the device has
/// let go of it, every lease that was ever active is told to have ended exactly once, and at the end nothing is left.
/// </summary>
public sealed class LeaseTableModelTests
{
    private const int Connections = 4;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Invariants_hold_whatever_happens_in_whatever_order(bool canOverlap)
    {
        Gen<Step> step =
            from kind in Gen.Elements(
                StepKind.Acquire, StepKind.Acquire, StepKind.Acquire, StepKind.Release, StepKind.Renew, StepKind.Revoke, StepKind.RevokeLater, StepKind.RevokeAll, StepKind.Wait, StepKind.Close, StepKind.Exit,
                StepKind.FailExport, StepKind.FailRevokes, StepKind.ConfirmRevokes, StepKind.HoldExports, StepKind.HoldRevokes, StepKind.LetOneOn, StepKind.LetAllOn)
            from a in Gen.Choose(0, 63)
            from b in Gen.Choose(1, 4)
            from gap in Gen.Choose(0, 3)
            from flag in Gen.Elements(true, false)
            from combining in Gen.Elements(false, false, true)
            select new Step(kind, a, b, flag, gap, combining);

        Prop.ForAll(step.ArrayOf().ToArbitrary(), steps => PlayAsync(canOverlap, steps).WaitAsync(Patience).GetAwaiter().GetResult())
            .Check(Config.QuickThrowOnFailure.WithMaxTest(200).WithEndSize(120));
    }

    private static async Task<bool> PlayAsync(bool canOverlap, Step[] steps)
    {
        await using FakeBarDevice device = new(canOverlap: canOverlap);
        await new Run(device).PlayAsync(steps);
        return true;
    }

    private enum StepKind
    {
        Acquire,
        Release,
        Renew,
        Revoke,
        RevokeLater,
        RevokeAll,
        Wait,
        Close,
        Exit,
        FailExport,
        FailRevokes,
        ConfirmRevokes,
        HoldExports,
        HoldRevokes,
        LetOneOn,
        LetAllOn,
    }

    private sealed record Step(StepKind Kind, int A, int B, bool Flag, int Gap = 0, bool Combining = false);

    private sealed class Run
    {
        private readonly FakeBarDevice _device;
        private readonly LeaseTable _table;
        private readonly FakeTimeProvider _time = new();
        private readonly FakeConnection[] _connections = new FakeConnection[Connections];
        private readonly List<Task> _calls = [];
        private readonly List<Task> _watchers = [];
        private readonly ConcurrentDictionary<LeaseId, FakeConnection> _active = [];
        private readonly ConcurrentDictionary<LeaseId, int> _ends = [];
        private ulong _lastConnection;

        public Run(FakeBarDevice device)
        {
            _device = device;
            _table = new LeaseTable([_device], new LeaseLimits(), _time, NullLogger<LeaseTable>.Instance);
            for (int i = 0; i < Connections; i++)
            {
                Connect(i);
            }
        }

        public async Task PlayAsync(Step[] steps)
        {
            foreach (Step step in steps)
            {
                Play(step);
                CheckNoConflict();
            }

            // Everything that waits goes on, nothing fails any more, and the table comes to its end.
            Play(new Step(StepKind.ConfirmRevokes, 0, 1, false));
            Play(new Step(StepKind.LetAllOn, 0, 1, false));

            // All periods of grace are over.
            while (Task.WhenAll(_calls) is { IsCompleted: false } calls)
            {
                _time.Advance(TimeSpan.FromSeconds(5));
                await Task.WhenAny(calls, Task.Delay(TimeSpan.FromMilliseconds(1)));
            }

            await Task.WhenAll(_calls);
            (_, Task watchersLeft) = await _table.ShutdownAsync();
            await watchersLeft;

            // The first may have joined an attempt that was failing already: what that left in quarantine is tried again.
            await _table.ShutdownAsync();
            await Task.WhenAll(_watchers);
            CheckNothingIsLeft();
        }

        private void Play(Step step)
        {
            FakeConnection connection = _connections[step.A % Connections];
            LeaseId[] ids = [.. _active.Keys];
            LeaseId id = ids.Length == 0 ? default : ids[step.A % ids.Length];
            switch (step.Kind)
            {
                case StepKind.Acquire:
                    _calls.Add(AcquireAsync(connection, step));
                    break;
                case StepKind.Release:
                    _calls.Add(_table.ReleaseAsync(connection, id));
                    break;
                case StepKind.Revoke:
                    _calls.Add(_table.RevokeAsync(id));
                    break;
                case StepKind.Renew:
                    Renew(connection, id, step);
                    break;
                case StepKind.RevokeLater:
                    _calls.Add(step.Flag ? (Task)_table.RevokeAsync(id, Seconds(step.B)) : _table.RevokeAsync(lease => lease.Holder.Connection == connection, Seconds(step.B)));
                    break;
                case StepKind.Wait:
                    _time.Advance(Seconds(step.B));
                    break;
                case StepKind.RevokeAll:
                    _calls.Add(_table.RevokeAsync(lease => step.Flag || lease.Holder.Connection == connection));
                    break;
                case StepKind.Close:
                    connection.Close();
                    Connect(step.A % Connections);
                    break;
                case StepKind.Exit:
                    connection.Exit();
                    connection.Close();
                    Connect(step.A % Connections);
                    break;
                case StepKind.FailExport:
                    _device.ExportFailures.Enqueue(new DeviceSuspendedException("dev0"));
                    break;
                case StepKind.FailRevokes:
                    _device.RevokeFails = id => id.Value % 2 == 0;
                    break;
                case StepKind.ConfirmRevokes:
                    _device.RevokeFails = _ => false;
                    break;
                case StepKind.HoldExports:
                    (step.Flag ? _device.ExportCalled : _device.ExportDone).Close();
                    break;
                case StepKind.HoldRevokes:
                    (step.Flag ? _device.RevokeCalled : _device.RevokeDone).Close();
                    break;
                case StepKind.LetOneOn:
                    _ = step.Flag ? _device.ExportCalled.TryLetOneOn() || _device.ExportDone.TryLetOneOn() : _device.RevokeCalled.TryLetOneOn() || _device.RevokeDone.TryLetOneOn();
                    break;
                default:
                    _device.ExportCalled.Open();
                    _device.ExportDone.Open();
                    _device.RevokeCalled.Open();
                    _device.RevokeDone.Open();
                    break;
            }
        }

        private static TimeSpan Seconds(int count) => TimeSpan.FromSeconds(count);

        private void Renew(FakeConnection connection, LeaseId id, Step step)
        {
            try
            {
                _table.Renew(connection, id, step.Flag ? Seconds(step.B) : null);
            }
            catch (LeaseRefusedException refused)
            {
                Assert.Contains(refused.Refusal, (LeaseRefusal[])[LeaseRefusal.Ending, LeaseRefusal.TooManyRenewals]);
            }
        }

        private void Connect(int slot)
        {
            FakeConnection connection = new(++_lastConnection, uid: (uint)slot);
            _connections[slot] = connection;
            _watchers.Add(WatchAsync(_table.Watch(connection)));
        }

        private async Task AcquireAsync(FakeConnection connection, Step step)
        {
            // One range, or a second one behind it, and a third before that in the lease's order.
            (ulong start, ulong length, ulong gap) = ((ulong)step.A / 4, (ulong)step.B, (ulong)step.Gap);
            BarRange first = Ranges.Of(0, start, length);
            RangeList ranges = gap == 0 ? RangeList.Of(first) : Ranges.List(first, Ranges.Of(0, start + length + gap + 2, 1), Ranges.Of(0, start + length + gap, 1));
            ExportOptions options = new(LeaseAccess.ReadWrite, step.Combining ? MemoryType.WriteCombining : MemoryType.Uncached);
            try
            {
                AcquiredLease acquired = await _table.AcquireAsync(connection, new LeaseRequest(_device, null, ranges, options, step.Flag) { Terms = TermsOf(step) }, CancellationToken.None);
                Assert.True(_active.TryAdd(acquired.Lease.Id, connection));
            }
            catch (LeaseRefusedException)
            {
                // Often right; what must hold is checked elsewhere.
            }
        }

        /// <summary>Without an end, or with a short one and few renewals.</summary>
        private static LeaseTerms TermsOf(Step step) => step.A % 3 == 0 ? LeaseTerms.Unlimited : LeaseTerms.Of(Seconds(step.B), Seconds(4), step.Gap);

        private async Task WatchAsync(LeaseFeed feed)
        {
            using (feed)
            {
                await foreach (LeaseEvent happened in feed.ReadAllAsync(CancellationToken.None))
                {
                    if (happened is LeaseEndedEvent ended)
                    {
                        _ends.AddOrUpdate(ended.Id, 1, (_, count) => count + 1);
                    }
                }
            }
        }

        private void CheckNoConflict()
        {
            // One that is being made has no memory type to tell yet; it is looked at once it has.
            LeaseInfo[] held = [.. _table.List(_ => true)];
            for (int i = 0; i < held.Length; i++)
            {
                for (int j = i + 1; j < held.Length; j++)
                {
                    bool sameMemory = held[i].MemoryType is not { } one || held[j].MemoryType is not { } other || one == other;
                    bool mayOverlap = _device.CanOverlap && !held[i].Exclusive && !held[j].Exclusive && sameMemory;
                    Assert.True(mayOverlap || !held[i].Ranges.Items.Any(range => held[j].Ranges.Items.Any(range.Overlaps)), $"{held[i]} and {held[j]}");
                }
            }
        }

        private void CheckNothingIsLeft()
        {
            Assert.Empty(_device.Violations);
            Assert.Empty(_table.List(_ => true));
            Assert.Empty(_device.Reachable);
            Assert.All(_device.Descriptors, descriptor => Assert.True(descriptor.IsClosed));

            // Whoever closed its connection listens no more.
            Assert.All(_ends, end => Assert.Equal(1, end.Value));
            Assert.All(_active.Where(lease => _connections.Contains(lease.Value)), lease => Assert.Contains(lease.Key, _ends));
        }
    }
}
