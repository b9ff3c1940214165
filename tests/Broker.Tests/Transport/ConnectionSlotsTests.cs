using BarBroker.Transport;
using Xunit;
using Answer = BarBroker.Transport.ConnectionSlots.Answer;

namespace BarBroker.Tests.Transport;

public sealed class ConnectionSlotsTests
{
    [Fact]
    public void One_user_can_not_take_the_others_share()
    {
        ConnectionSlots slots = new(limit: 4, limitPerUser: 2);

        Assert.Equal([Answer.Taken, Answer.Taken, Answer.UserFull], [slots.TryTake(1), slots.TryTake(1), slots.TryTake(1)]);
        Assert.Equal([Answer.Taken, Answer.Taken, Answer.Full], [slots.TryTake(2), slots.TryTake(2), slots.TryTake(3)]);
    }

    [Fact]
    public void A_connection_that_ended_makes_room_for_its_user_and_for_all()
    {
        ConnectionSlots slots = new(limit: 1, limitPerUser: 1);
        Assert.Equal(Answer.Taken, slots.TryTake(1));

        slots.Release(1);

        Assert.Equal(Answer.Taken, slots.TryTake(2));
    }
}
