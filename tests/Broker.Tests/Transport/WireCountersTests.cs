using System.Diagnostics.Metrics;
using BarBroker.Transport;
using BarBroker.Transport.Counting;
using BarBroker.Transport.Metering;
using Xunit;

namespace BarBroker.Tests.Transport;

public sealed class WireCountersTests : IDisposable
{
    private readonly WireCounters _counters = new();

    public void Dispose() => _counters.Dispose();

    [Fact]
    public void A_collector_and_the_admin_see_the_same_numbers()
    {
        UserAccounts accounts = new(new UserLimits(9, 9, 9, 9), new DescriptorBudget(9, 9, _counters), TimeProvider.System, TimeProvider.System);
        _counters.Show("test.sock", accounts);
        accounts.TryOpen(1000, out UserAccount? account);
        account!.TryBeginCall();
        account.Descriptors.TryReserve();
        account.Descriptors.TryReserve();
        _counters.FrameFloods.Add(FrameKind.WindowUpdate);
        _counters.TicketsRefused.Add(RefusedTicket.OfAnotherUser, 3);
        _counters.ConnectionsRefused.Add(RefusedConnection.UserFull, 4);

        Dictionary<(string, string, string), long> collected = Collect();

        Assert.Equal(_counters.Read().ToDictionary(reading => (reading.Name, reading.Tag, reading.TagValue), reading => reading.Value), collected);
        Assert.Equal(1, collected[("bar_broker.wire.frame_floods", "kind", "window_update")]);
        Assert.Equal(3, collected[("bar_broker.wire.tickets.refused", "kind", "of_another_user")]);
        Assert.Equal(4, collected[("bar_broker.wire.connections.refused", "kind", "user_full")]);
        Assert.Equal(0, collected[("bar_broker.wire.connections.refused", "kind", "full")]);
        Assert.Equal(1, collected[("bar_broker.wire.connections", "endpoint", "test.sock")]);
        Assert.Equal(1, collected[("bar_broker.wire.calls", "endpoint", "test.sock")]);
        Assert.Equal(2, collected[("bar_broker.wire.descriptors", "endpoint", "test.sock")]);
    }

    private Dictionary<(string Name, string Tag, string Value), long> Collect()
    {
        Dictionary<(string, string, string), long> collected = [];
        using MeterListener listener = new();
        listener.InstrumentPublished = (instrument, published) =>
        {
            if (_counters.Owns(instrument.Meter))
            {
                published.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, tags, _) => collected.Add((instrument.Name, tags[0].Key, (string)tags[0].Value!), value));
        listener.Start();
        listener.RecordObservableInstruments();
        return collected;
    }
}
