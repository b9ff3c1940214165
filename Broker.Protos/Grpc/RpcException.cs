namespace BarBroker.Grpc;

/// <summary>A call failed. Thrown by handlers to end their call, and by clients whose call ended so.</summary>
public class RpcException : Exception
{
    /// <param name="status">How the call ended; not OK.</param>
    /// <param name="trailers">Metadata that goes with it, such as <c>grpc-status-details-bin</c>.</param>
    /// <param name="innerException">What caused it on this side, if anything did.</param>
    public RpcException(Status status, Metadata? trailers = null, Exception? innerException = null)
        : base($"{status.StatusCode}: {status.Detail}", innerException)
    {
        Status = status;
        Trailers = trailers ?? [];
    }

    /// <summary>How the call ended.</summary>
    public Status Status { get; }

    /// <summary>The code of <see cref="Status"/>.</summary>
    public StatusCode StatusCode => Status.StatusCode;

    /// <summary>Metadata that came with the status.</summary>
    public Metadata Trailers { get; }
}
