using BarBroker.Grpc;
using Xunit;

namespace BarBroker.Tests.Wire;

public sealed class MetadataTests
{
    [Theory]
    [InlineData("")]
    [InlineData("a b")]
    [InlineData("a:b")]
    [InlineData("ä")]
    public void A_key_that_is_no_header_name_is_refused(string key) => Assert.Throws<ArgumentException>(() => new Metadata { { key, "x" } });

    [Theory]
    [InlineData("a\nb")]
    [InlineData("ä")]
    [InlineData("\u007f")]
    public void A_value_that_can_not_stand_in_a_header_is_refused(string value) => Assert.Throws<ArgumentException>(() => new Metadata { { "key", value } });

    [Fact]
    public void Bytes_belong_to_keys_that_end_in_bin_and_text_to_the_others()
    {
        Assert.Throws<ArgumentException>(() => new Metadata { { "key", [1] } });
        Assert.Throws<ArgumentException>(() => new Metadata { { "key-bin", "x" } });
    }

    [Fact]
    public void Keys_are_one_in_either_case_and_the_last_value_counts()
    {
        Metadata metadata = new() { { "Key", "first" }, { "key", "second" } };

        Assert.Equal("second", metadata.GetValue("KEY"));
        Assert.Equal(2, metadata.Count);
    }
}
