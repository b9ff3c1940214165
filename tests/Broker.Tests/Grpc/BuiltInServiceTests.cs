using BarBroker.Client.Grpc;
using BarBroker.Grpc;
using BarBroker.Grpc.Health.V1;
using BarBroker.Grpc.Reflection.V1;
using BarBroker.Rpc;
using BarBroker.Rpc.BuiltIn;
using Google.Protobuf.Reflection;
using Xunit;
using ServingStatus = BarBroker.Grpc.Health.V1.HealthCheckResponse.Types.ServingStatus;

namespace BarBroker.Tests.Grpc;

public sealed class BuiltInServiceTests
{
    private static readonly string[] ImportOrder = ["barbroker/v1/broker.proto", "barbroker/v1/lease.proto", "google/protobuf/timestamp.proto", "google/protobuf/duration.proto"];

    private static CancellationToken TestToken => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Health_answers_for_each_service_and_for_the_server()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        host.Server.Health.Set(TestService.Name, ServingStatus.NotServing);

        Assert.Equal(ServingStatus.Serving, await CheckAsync(channel, string.Empty));
        Assert.Equal(ServingStatus.NotServing, await CheckAsync(channel, TestService.Name));
        RpcException failure = await Assert.ThrowsAsync<RpcException>(() => CheckAsync(channel, "no.such.Service"));
        Assert.Equal(StatusCode.NotFound, failure.StatusCode);
    }

    [Fact]
    public async Task Watching_health_sends_the_status_and_each_change()
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        await using IAsyncEnumerator<HealthCheckResponse> watch = Watch(channel, "later");

        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(ServingStatus.ServiceUnknown, watch.Current.Status);
        host.Server.Health.Set("later", ServingStatus.Serving);
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(ServingStatus.Serving, watch.Current.Status);
    }

    [Fact]
    public async Task Any_number_of_watchers_end_in_any_order()
    {
        HealthStatus health = new();
        List<(IAsyncEnumerator<ServingStatus> Watch, CancellationTokenSource End)> watches = [];
        for (int i = 0; i < 20_000; i++)
        {
            CancellationTokenSource end = new();
            IAsyncEnumerator<ServingStatus> watch = health.WatchAsync(new string('x', 200) + (i & 1), end.Token).GetAsyncEnumerator(TestToken);
            Assert.True(await watch.MoveNextAsync());
            watches.Add((watch, end));
        }

        // With a search for each, this would be 200 million comparisons of long names.
        foreach ((IAsyncEnumerator<ServingStatus> watch, CancellationTokenSource end) in watches)
        {
            ValueTask<bool> next = watch.MoveNextAsync();
            end.Cancel();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(next.AsTask);
            await watch.DisposeAsync();
            end.Dispose();
        }

        await using IAsyncEnumerator<ServingStatus> late = health.WatchAsync(new string('x', 200) + "0", TestToken).GetAsyncEnumerator(TestToken);
        Assert.True(await late.MoveNextAsync());
        health.Set(new string('x', 200) + "0", ServingStatus.Serving);
        Assert.True(await late.MoveNextAsync());
        Assert.Equal(ServingStatus.Serving, late.Current);
    }

    [Fact]
    public async Task That_all_watchers_have_passed_a_change_on_is_known()
    {
        HealthStatus health = new();
        await using IAsyncEnumerator<ServingStatus> watch = health.WatchAsync("x", TestToken).GetAsyncEnumerator(TestToken);
        Assert.True(health.WhenToldAsync().IsCompleted);
        Assert.True(await watch.MoveNextAsync());
        Task told = health.WhenToldAsync();
        ValueTask<bool> next = watch.MoveNextAsync();
        Assert.True(told.IsCompleted);

        health.Set("x", ServingStatus.NotServing);
        told = health.WhenToldAsync();
        Assert.True(await next);
        Assert.Equal(ServingStatus.NotServing, watch.Current);
        Assert.False(told.IsCompleted);

        ValueTask<bool> last = watch.MoveNextAsync();
        await told.WaitAsync(TestToken);
        health.Set("x", ServingStatus.Serving);
        Assert.True(await last);
        Assert.False(health.WhenToldAsync().IsCompleted);
        await watch.DisposeAsync();
        Assert.True(health.WhenToldAsync().IsCompleted);
    }

    [Theory]
    [InlineData(HealthService.LongestName, null)]
    [InlineData(HealthService.LongestName + 1, StatusCode.InvalidArgument)]
    public async Task A_name_that_is_watched_has_a_longest_length(int length, StatusCode? refusal)
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        await using IAsyncEnumerator<HealthCheckResponse> watch = Watch(channel, new string('x', length));

        RpcException? failure = await Record.ExceptionAsync(async () => Assert.True(await watch.MoveNextAsync())) as RpcException;

        Assert.Equal(refusal, failure?.StatusCode);
    }

    [Fact]
    public async Task An_endpoint_tells_of_its_own_services_only()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("bar-broker-wire-");
        string[] paths = [Path.Combine(directory.FullName, "one.sock"), Path.Combine(directory.FullName, "two.sock")];
        GrpcEndpoint[] endpoints = [new() { SocketPath = paths[0], Services = [new TestService()] }, new() { SocketPath = paths[1], Services = [] }];
        await using GrpcServer server = new(new GrpcServerOptions { Endpoints = [.. endpoints] }, new TestLog(), TimeProvider.System);
        await server.StartAsync(TestToken);
        server.Health.Set("device/board", ServingStatus.NotServing);
        await using UnixGrpcChannel one = await UnixGrpcChannel.ConnectAsync(paths[0], TestToken);
        await using UnixGrpcChannel two = await UnixGrpcChannel.ConnectAsync(paths[1], TestToken);

        Assert.Equal(ServingStatus.Serving, await CheckAsync(one, TestService.Name));
        Assert.Equal(StatusCode.NotFound, (await Assert.ThrowsAsync<RpcException>(() => CheckAsync(two, TestService.Name))).StatusCode);
        Assert.Equal(ServingStatus.NotServing, await CheckAsync(two, "device/board"));
        await using IAsyncEnumerator<HealthCheckResponse> watch = Watch(two, TestService.Name);
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(ServingStatus.ServiceUnknown, watch.Current.Status);
        directory.Delete(recursive: true);
    }

    private static IAsyncEnumerator<HealthCheckResponse> Watch(UnixGrpcChannel channel, string service)
        => channel.ServerStreamingAsync<HealthCheckRequest, HealthCheckResponse>(
            "/grpc.health.v1.Health/Watch", new HealthCheckRequest { Service = service }, new CallOptions(CancellationToken: TestToken)).GetAsyncEnumerator(TestToken);

    [Fact]
    public void The_requested_file_comes_first_then_its_imports()
    {
        ServerReflectionResponse response = Index().Answer(new ServerReflectionRequest { FileContainingSymbol = "barbroker.v1.Broker.Acquire" });

        string[] names = [.. response.FileDescriptorResponse.FileDescriptorProto.Select(static file => FileDescriptorProto.Parser.ParseFrom(file).Name)];
        Assert.Equal(ImportOrder, names);
    }

    [Theory]
    [InlineData("barbroker.v1.Broker")]
    [InlineData("barbroker.v1.AcquireRequest")]
    [InlineData("barbroker.v1.AcquireRequest.device")]
    [InlineData("barbroker.v1.AcquireRequest.target")]
    [InlineData("barbroker.v1.Delivery")]
    [InlineData("barbroker.v1.DELIVERY_IN_BAND")]
    public void Every_kind_of_symbol_is_found(string symbol) => Assert.Equal(
        ServerReflectionResponse.MessageResponseOneofCase.FileDescriptorResponse,
        Index().Answer(new ServerReflectionRequest { FileContainingSymbol = symbol }).MessageResponseCase);

    [Fact]
    public void What_is_not_there_is_NOT_FOUND_inside_the_answer()
    {
        ServerReflectionRequest[] requests =
        [
            new() { FileByFilename = "no.proto" },
            new() { FileContainingSymbol = "no.Symbol" },
            new() { FileContainingExtension = new ExtensionRequest { ContainingType = "no.Type", ExtensionNumber = 1 } },
            new() { AllExtensionNumbersOfType = "no.Type" },
        ];
        foreach (ServerReflectionRequest request in requests)
        {
            Assert.Equal((int)StatusCode.NotFound, Index().Answer(request).ErrorResponse.ErrorCode);
        }
    }

    [Fact]
    public void An_empty_request_is_INVALID_ARGUMENT() =>
        Assert.Equal((int)StatusCode.InvalidArgument, Index().Answer(new ServerReflectionRequest()).ErrorResponse.ErrorCode);

    [Theory]
    [InlineData("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")]
    [InlineData("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")]
    public async Task Both_names_of_reflection_answer_requests_as_they_come(string path)
    {
        await using TestHost host = await TestHost.StartAsync();
        await using UnixGrpcChannel channel = await host.ConnectAsync();
        using DuplexCall<ServerReflectionRequest, ServerReflectionResponse> call =
            channel.Duplex<ServerReflectionRequest, ServerReflectionResponse>(path, new CallOptions(CancellationToken: TestToken));

        ServerReflectionResponse services = await AskAsync(new ServerReflectionRequest { Host = "here", ListServices = "*" });
        Assert.Contains(TestService.Name, services.ListServicesResponse.Service.Select(static service => service.Name));
        ServerReflectionResponse file = await AskAsync(new ServerReflectionRequest { Host = "there", FileContainingSymbol = TestService.Name });
        Assert.Equal("barbroker/test/test.proto", FileDescriptorProto.Parser.ParseFrom(file.FileDescriptorResponse.FileDescriptorProto[0]).Name);
        Assert.Equal(file.FileDescriptorResponse, (await AskAsync(new ServerReflectionRequest { FileByFilename = "barbroker/test/test.proto" })).FileDescriptorResponse);
        ServerReflectionResponse miss = await AskAsync(new ServerReflectionRequest { FileContainingSymbol = "no.Symbol" });
        Assert.Equal((int)StatusCode.NotFound, miss.ErrorResponse.ErrorCode);

        async Task<ServerReflectionResponse> AskAsync(ServerReflectionRequest request)
        {
            Assert.True(await call.WriteAsync(request));
            ServerReflectionResponse response = (await call.ReadAsync())!;
            Assert.Equal(request.Host, response.ValidHost);
            Assert.Equal(request, response.OriginalRequest);
            return response;
        }
    }

    private static DescriptorIndex Index()
    {
        DescriptorIndex index = new();
        index.Add(BarBroker.V1.BrokerReflection.Descriptor.Services[0]);
        return index;
    }

    private static async Task<ServingStatus> CheckAsync(UnixGrpcChannel channel, string service) =>
        (await channel.UnaryAsync<HealthCheckRequest, HealthCheckResponse>(
            "/grpc.health.v1.Health/Check", new HealthCheckRequest { Service = service }, new CallOptions(CancellationToken: TestToken))).Status;
}
