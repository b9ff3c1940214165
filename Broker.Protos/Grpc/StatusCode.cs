namespace BarBroker.Grpc;

/// <summary>The canonical gRPC status codes (grpc/grpc, doc/statuscodes.md).</summary>
public enum StatusCode
{
    /// <summary>Success.</summary>
    OK = 0,

    /// <summary>The caller gave up.</summary>
    Cancelled = 1,

    /// <summary>An error that has no better code.</summary>
    Unknown = 2,

    /// <summary>The request can't be right, whatever the state of the system.</summary>
    InvalidArgument = 3,

    /// <summary>Time ran out.</summary>
    DeadlineExceeded = 4,

    /// <summary>What the request names is not there.</summary>
    NotFound = 5,

    /// <summary>What the request would make is there already.</summary>
    AlreadyExists = 6,

    /// <summary>The caller may not do this.</summary>
    PermissionDenied = 7,

    /// <summary>A quota or limit is used up.</summary>
    ResourceExhausted = 8,

    /// <summary>The system is not in a state for this; the request alone is not wrong.</summary>
    FailedPrecondition = 9,

    /// <summary>A conflict with another operation; try the whole again.</summary>
    Aborted = 10,

    /// <summary>Past the end.</summary>
    OutOfRange = 11,

    /// <summary>No such method, or not built.</summary>
    Unimplemented = 12,

    /// <summary>A broken invariant.</summary>
    Internal = 13,

    /// <summary>Not now; try again.</summary>
    Unavailable = 14,

    /// <summary>Lost for good.</summary>
    DataLoss = 15,

    /// <summary>Who is calling is not known.</summary>
    Unauthenticated = 16,
}
