namespace BarBroker.Rpc.Services;

/// <summary>The ErrorInfo reasons of barbroker.v1, as its .proto files document them with each method.</summary>
internal static class Reasons
{
    public const string AccessMissing = "ACCESS_MISSING";
    public const string TargetMissing = "TARGET_MISSING";
    public const string BarInvalid = "BAR_INVALID";
    public const string RangeEmpty = "RANGE_EMPTY";
    public const string RangeUnaligned = "RANGE_UNALIGNED";
    public const string RangeOverflow = "RANGE_OVERFLOW";
    public const string RangeCount = "RANGE_COUNT";
    public const string RangesOverlap = "RANGES_OVERLAP";
    public const string P2PReadOnly = "P2P_READ_ONLY";
    public const string P2PRanges = "P2P_RANGES";
    public const string RangeBeyondBar = "RANGE_BEYOND_BAR";
    public const string DeviceUnknown = "DEVICE_UNKNOWN";
    public const string WindowUnknown = "WINDOW_UNKNOWN";
    public const string BarUnknown = "BAR_UNKNOWN";
    public const string NotGranted = "NOT_GRANTED";
    public const string AccessNotGranted = "ACCESS_NOT_GRANTED";
    public const string P2PNotGranted = "P2P_NOT_GRANTED";
    public const string RangeOnMsix = "RANGE_ON_MSIX";
    public const string RangeLeased = "RANGE_LEASED";
    public const string MemoryTypeUnavailable = "MEMORY_TYPE_UNAVAILABLE";
    public const string DeliveryMissing = "DELIVERY_MISSING";
    public const string DeliveryUnsupported = "DELIVERY_UNSUPPORTED";
    public const string TooManyLeases = "TOO_MANY_LEASES";
    public const string TooManyBytes = "TOO_MANY_BYTES";
    public const string TooManyDescriptors = "TOO_MANY_DESCRIPTORS";
    public const string TooManyTickets = "TOO_MANY_TICKETS";
    public const string KernelExhausted = "KERNEL_EXHAUSTED";
    public const string DeviceSuspended = "DEVICE_SUSPENDED";
    public const string DeviceGone = "DEVICE_GONE";
    public const string DeviceStuck = "DEVICE_STUCK";
    public const string ModeMissing = "MODE_MISSING";
    public const string ModeUnsupported = "MODE_UNSUPPORTED";
    public const string ResetUnsupported = "RESET_UNSUPPORTED";
    public const string ControlFailed = "CONTROL_FAILED";
    public const string ShuttingDown = "SHUTTING_DOWN";
    public const string ConnectionEnded = "CONNECTION_ENDED";
    public const string LeaseRevoked = "LEASE_REVOKED";
    public const string LeaseUnknown = "LEASE_UNKNOWN";
    public const string RevokeUnconfirmed = "REVOKE_UNCONFIRMED";
    public const string PageSizeInvalid = "PAGE_SIZE_INVALID";
    public const string PageTokenInvalid = "PAGE_TOKEN_INVALID";
    public const string LeaseEnding = "LEASE_ENDING";
    public const string LeaseTimeInvalid = "LEASE_TIME_INVALID";
    public const string TooManyRenewals = "TOO_MANY_RENEWALS";
    public const string GraceInvalid = "GRACE_INVALID";
    public const string WatchExists = "WATCH_EXISTS";
    public const string ExportFailed = "EXPORT_FAILED";
}
