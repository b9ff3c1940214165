using BarBroker.Client.Leases;
using BarBroker.V1;
using Xunit;

namespace BarBroker.Tests.Client;

public sealed class LeaseBookTests
{
    private readonly LeaseBook _book = new();

    [Fact]
    public void An_end_that_no_acquire_can_be_meant_by_is_not_kept()
    {
        _book.Apply(Ended(1));

        Assert.Equal(0, _book.EndedEarly);
    }

    [Fact]
    public void An_early_end_is_kept_until_the_acquires_of_its_time_are_over()
    {
        LeaseBook.Acquisition first = _book.BeginAcquisition();
        LeaseBook.Acquisition second = _book.BeginAcquisition();
        _book.Apply(Ended(1));
        LeaseBook.Acquisition later = _book.BeginAcquisition();

        second.Dispose();
        Assert.Equal(1, _book.EndedEarly);
        first.Dispose();
        Assert.Equal(0, _book.EndedEarly);
        later.Dispose();
    }

    [Fact]
    public void Acquires_that_always_overlap_do_not_pile_up_ends()
    {
        LeaseBook.Acquisition current = _book.BeginAcquisition();
        for (ulong id = 1; id <= 1000; id++)
        {
            _book.Apply(Ended(id));
            LeaseBook.Acquisition next = _book.BeginAcquisition();
            current.Dispose();
            current = next;
        }

        Assert.InRange(_book.EndedEarly, 0, 1);
        current.Dispose();
    }

    private static WatchEvent Ended(ulong id) => new() { LeaseEnded = new LeaseEnded { LeaseId = id } };
}
