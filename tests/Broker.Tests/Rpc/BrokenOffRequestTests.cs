using System.IO.Pipelines;
using BarBroker.Grpc;
using BarBroker.Rpc;
using BarBroker.Tests.Grpc;
using BarBroker.Tests.Leases;
using BarBroker.Transport;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Logging;
using Xunit;

namespace BarBroker.Tests.Rpc;

/// <summary>Kestrel's two words of a reset, the broken body and the token, come in either order: here the token has not come yet.</summary>
public sealed class BrokenOffRequestTests
{
    [Theory]
    [InlineData(TestService.UnaryPath)]
    [InlineData(TestService.ServerStreamPath)]
    public async Task A_request_that_breaks_off_is_cancelled_and_no_fault_of_the_server(string path)
    {
        Pipe body = new();
        body.Writer.Complete(CreateReset());
        await IsCancelledAsync(path, body.Reader);
    }

    [Theory]
    [InlineData(TestService.UnaryPath)]
    [InlineData(TestService.ServerStreamPath)]
    [InlineData(TestService.ClientStreamPath)]
    [InlineData(TestService.DuplexPath)]
    public async Task A_request_that_breaks_off_while_its_front_is_read_is_no_fault_either(string path)
    {
        Pipe body = new();
        await body.Writer.WriteAsync(new byte[] { 0, 0, 0 }, TestContext.Current.CancellationToken);
        await IsCancelledAsync(path, new ResetWhileReading(body.Reader));
    }

    private static async Task IsCancelledAsync(string path, PipeReader body)
    {
        TestLog log = new();
        GrpcApplication application = new(
            new GrpcServerOptions { Endpoints = [] }, new RpcLog(log.CreateLogger("rpc")), logsCalls: false, TimeProvider.System, CancellationToken.None);
        HttpResponseFeature response = new();

        await application.ProcessRequestAsync(application.CreateContext(CreateRequest(path, response, body)));

        Assert.Equal("1", response.Headers[GrpcProtocol.StatusHeader]);
        Assert.Empty(log.Entries);
    }

    private static IOException CreateReset() => new("The client reset the request stream.");

    private static FeatureCollection CreateRequest(string path, HttpResponseFeature response, PipeReader body)
    {
        HttpRequestFeature request = new() { Method = "POST", Path = path };
        request.Headers[GrpcProtocol.ContentTypeHeader] = GrpcProtocol.ContentType;
        FeatureCollection features = new();
        features.Set<IHttpRequestFeature>(request);
        features.Set<IHttpResponseFeature>(response);
        features.Set<IHttpResponseBodyFeature>(new StreamResponseBodyFeature(Stream.Null));
        features.Set<IHttpRequestLifetimeFeature>(new HttpRequestLifetimeFeature());
        features.Set<IRequestBodyPipeFeature>(new Body(body));
        features.Set<IPeerConnection>(new FakeConnection());
        features.Set<UnixSocketEndPoint>(new ServedEndPoint("test.sock", MethodTable.Create([new TestService()]))
        {
            Mode = UnixFileMode.None,
            Group = null,
            Inherited = null,
            Limits = new UserLimits(1, 1, 1, 1),
        });
        return features;
    }

    private sealed class Body(PipeReader reader) : IRequestBodyPipeFeature
    {
        public PipeReader Reader => reader;
    }
    /// <summary>Kestrel's, when the reset comes after a read has returned.</summary>
    private sealed class ResetWhileReading(PipeReader inner) : PipeReader
    {
        public override void AdvanceTo(SequencePosition consumed) => throw CreateReset();

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => throw CreateReset();

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default) => inner.ReadAsync(cancellationToken);

        public override bool TryRead(out ReadResult result) => inner.TryRead(out result);
    }
}
