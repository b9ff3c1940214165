using BarBroker.Grpc;
using BarBroker.V1;
using Google.Protobuf;
using Xunit;

namespace BarBroker.Tests.Rpc;

/// <summary>What a program learns of a request that can't be right: the paths of the fields.</summary>
public sealed class FieldViolationTests : ServiceTest
{
    public static TheoryData<string, string[]> Mistakes { get; } = new()
    {
        { """{ "window": "left" }""", ["access"] },
        { """{ "window": "left", "access": 7 }""", ["access"] },
        { """{ "access": 1 }""", ["target"] },
        { """{ "access": 1, "window": "" }""", ["window"] },
        { """{ "access": 1, "ranges": { "bar": 2 } }""", ["ranges.ranges"] },
        { """{ "access": 1, "ranges": { "bar": 6, "ranges": [ { "offset": 524288, "length": 4096 } ] } }""", ["ranges.bar"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": 524288, "length": 4096 }, { "offset": 532480 } ] } }""", ["ranges.ranges[1].length"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": 524288, "length": 4096 }, { "offset": 1, "length": 4096 } ] } }""", ["ranges.ranges[1].offset"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": 524288, "length": 2 } ] } }""", ["ranges.ranges[0].length"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": 1, "length": 2 } ] } }""", ["ranges.ranges[0].offset", "ranges.ranges[0].length"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": "18446744073709547520", "length": 8192 } ] } }""", ["ranges.ranges[0].offset", "ranges.ranges[0].length"] },
        { """{ "access": 1, "ranges": { "bar": 2, "ranges": [ { "offset": 524288, "length": 8192 }, { "offset": 528384, "length": 4096 } ] } }""", ["ranges.ranges[1]"] },
        { """{ "access": 1, "p2p": true, "window": "frames" }""", ["access", "p2p"] },
        { """{ "access": 2, "p2p": true, "ranges": { "bar": 2, "ranges": [ { "offset": 524288, "length": 4096 }, { "offset": 532480, "length": 4096 } ] } }""", ["ranges.ranges", "p2p"] },
        { """{ "access": 2, "p2p": true, "window": "pair" }""", ["window", "p2p"] },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public async Task A_malformed_request_names_the_fields_to_correct(string json, string[] fields)
    {
        AcquireRequest request = JsonParser.Default.Parse<AcquireRequest>(json);
        request.Device = "dev0";
        request.Delivery = Delivery.InBand;

        await NamesAsync(fields, () => AcquireAsync(request));
    }

    [Theory]
    [InlineData("{}", "target")]
    [InlineData("""{ "all": false }""", "all")]
    public Task A_revoke_of_nothing_names_the_field_to_set(string request, string field)
        => NamesAsync([field], () => RevokeAsync(RevokeRequest.Parser.ParseJson(request)));

    [Fact]
    public Task A_suspend_without_a_mode_names_it()
        => NamesAsync(["mode"], () => Admin.CallAsync<SuspendDeviceRequest, SuspendDeviceResponse>("SuspendDevice", new SuspendDeviceRequest { Device = "dev0" }, Root));

    [Fact]
    public async Task Another_error_has_no_field_to_correct()
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => AcquireAsync(Window("none")));

        Assert.NotNull(failure.GetReason());
        Assert.Empty(failure.GetFieldViolations());
    }

    [Fact]
    public void Details_that_are_broken_or_missing_are_none()
    {
        Assert.Empty(new RpcException(new Status(StatusCode.InvalidArgument, "x")).GetFieldViolations());
        Assert.Empty(new RpcException(new Status(StatusCode.InvalidArgument, "x"), new Metadata { { ErrorDetails.Key, [0xff] } }).GetFieldViolations());
    }

    private static async Task NamesAsync(string[] fields, Func<Task> call)
    {
        RpcException failure = await Assert.ThrowsAsync<RpcException>(call);

        Assert.Equal(StatusCode.InvalidArgument, failure.StatusCode);
        Assert.NotNull(failure.GetReason());
        Assert.Equal(fields, failure.GetFieldViolations().Select(static violation => violation.Field));
        Assert.All(failure.GetFieldViolations(), violation => Assert.Equal(failure.Status.Detail, violation.Description));
    }
}
