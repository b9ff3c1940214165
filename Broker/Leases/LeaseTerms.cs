namespace BarBroker.Leases;

/// <summary>How long a lease may last.</summary>
/// <param name="Time">From its beginning, and from each renewal that asks for nothing else; null: without an end.</param>
/// <param name="MaxTime">What a renewal may ask for at most; null: without an end.</param>
/// <param name="MaxRenewals">Null: as often as its holder likes.</param>
internal sealed record LeaseTerms(TimeSpan? Time, TimeSpan? MaxTime, int? MaxRenewals)
{
    public static LeaseTerms Unlimited { get; } = new(null, null, null);

    /// <summary>What a holder gets who asks for so much: no more than there is; the most where nothing is asked for.</summary>
    public static LeaseTerms Of(TimeSpan? asked, TimeSpan? most, int? maxRenewals) => new(Least(asked, most), most, maxRenewals);

    /// <summary>The time from a renewal on, of a lease that has an end.</summary>
    public TimeSpan? Renewed(TimeSpan? asked) => Least(asked ?? Time, MaxTime);

    private static TimeSpan? Least(TimeSpan? one, TimeSpan? other) => one is null || other < one ? other : one;
}
