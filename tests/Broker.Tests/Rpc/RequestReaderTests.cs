using BarBroker.Rpc.Services;
using Xunit;

namespace BarBroker.Tests.Rpc;

public sealed class RequestReaderTests
{
    [Fact]
    public void A_name_is_shown_also_when_its_cut_falls_into_a_character() =>
        Assert.StartsWith("\"aaa", RequestReader.Show(new string('a', 79) + "\ud83d\ude00 and more"), StringComparison.Ordinal);
}
