using BarBroker.Transport.Counting;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Http.Features;

namespace BarBroker.Rpc;

/// <summary>What Kestrel runs for each HTTP/2 stream, and what all calls share.</summary>
internal sealed class GrpcApplication(GrpcServerOptions options, RpcLog log, bool logsCalls, TimeProvider timeProvider, CancellationToken stopping)
    : IHttpApplication<ServerCall>
{
    internal RpcLog Log => log;

    internal WireCounters Counters => options.Counters;

    /// <summary>Asked once: the line for each call costs a format otherwise.</summary>
    internal bool LogsCalls => logsCalls;

    internal TimeProvider TimeProvider => timeProvider;

    internal int MaxReceiveMessageSize => options.MaxReceiveMessageSize;

    /// <summary>Is cancelled when the server stops: streams must end.</summary>
    internal CancellationToken Stopping => stopping;

    public ServerCall CreateContext(IFeatureCollection contextFeatures) => new(this, contextFeatures);

    public Task ProcessRequestAsync(ServerCall context) => context.RunAsync();

    public void DisposeContext(ServerCall context, Exception? exception)
    {
        // The call ended itself.
    }
}
