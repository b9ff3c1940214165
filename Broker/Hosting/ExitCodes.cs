namespace BarBroker.Hosting;

/// <summary>How the command ends.</summary>
internal static class ExitCodes
{
    /// <summary>It did what it was asked to; a broker stopped because it was told to.</summary>
    public const int Success = 0;

    /// <summary>Something is in the way: a device, a socket, a broker that does not answer, a policy that denies what was to be explained, an end of leases that could not be confirmed.</summary>
    public const int Failure = 1;

    /// <summary>The command line or the policy can't be right. Trying again changes nothing.</summary>
    public const int Invalid = 2;

    /// <summary>The running kernel can't lease devices: it is too old, or built without what that takes. Only another kernel helps.</summary>
    public const int UnfitKernel = 3;
}
