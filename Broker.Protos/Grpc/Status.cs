namespace BarBroker.Grpc;

/// <summary>How a call ended.</summary>
/// <param name="StatusCode">The canonical code.</param>
/// <param name="Detail">A sentence that a person can act on; empty for OK.</param>
public readonly record struct Status(StatusCode StatusCode, string Detail)
{
    /// <summary>Success, without a message.</summary>
    public static Status OK { get; } = new(StatusCode.OK, string.Empty);
}
