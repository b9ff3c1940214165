namespace BarBroker.Hosting.Doctor;

/// <summary>One thing that the doctor looked at.</summary>
/// <param name="Verdict">How it is.</param>
/// <param name="Subject">What it is about, in a word.</param>
/// <param name="Text">What was found; unless all is well, with what to do about it.</param>
internal sealed record Finding(Verdict Verdict, string Subject, string Text)
{
    public static Finding Ok(string subject, string text) => new(Verdict.Ok, subject, text);

    public static Finding Warning(string subject, string text) => new(Verdict.Warning, subject, text);

    public static Finding UnfitKernel(string subject, string text) => new(Verdict.UnfitKernel, subject, text);

    public static Finding Failure(string subject, string text) => new(Verdict.Failure, subject, text);
}

/// <summary>How bad a <see cref="Finding"/> is.</summary>
internal enum Verdict
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>Leases work, but something is weaker than it could be, or could not be looked at.</summary>
    Warning,

    /// <summary>No lease can be had like this.</summary>
    Failure,

    /// <summary>No lease can be had while this kernel runs, whatever else is done.</summary>
    UnfitKernel,
}
