using BarBroker.Transport.Counting;

namespace BarBroker.Transport;

/// <summary>What one user takes of the budget, so that one who never reads leaves the others theirs.</summary>
internal sealed class DescriptorShare(DescriptorBudget budget)
{
    private int _used;

    /// <summary>How many of the user's are under way, as far as is known; never fewer than really are.</summary>
    internal int Used => Volatile.Read(ref _used);

    internal DescriptorBudget Budget => budget;

    /// <summary>Takes a place, for which it may look into many connections.</summary>
    /// <returns>Which budget has none; null when it was taken.</returns>
    internal RefusedDescriptor? TryReserve()
    {
        RefusedDescriptor? refused = null;
        if (!TryTake())
        {
            budget.Refresh(this);
            refused = TryTake() ? null : RefusedDescriptor.User;
        }

        if (refused is null && !budget.TryReserve())
        {
            Interlocked.Decrement(ref _used);
            refused = RefusedDescriptor.All;
        }

        if (refused is { } which)
        {
            budget.Count(which);
        }

        return refused;
    }

    /// <summary>Gives places back.</summary>
    internal void Release(int count)
    {
        Interlocked.Add(ref _used, -count);
        budget.Release(count);
    }

    /// <summary>What one who got no place is told.</summary>
    internal DescriptorBudgetException Exhausted(RefusedDescriptor which) => new(which == RefusedDescriptor.User
        ? $"{budget.LimitPerUser} descriptors are under way to clients of this user already, as many as one user may have: read them first."
        : $"All {budget.Limit} descriptors that may be under way to clients are: some clients don't read. Try again later; LimitNOFILE in the broker's unit raises it.");

    private bool TryTake()
    {
        if (Interlocked.Increment(ref _used) <= budget.LimitPerUser)
        {
            return true;
        }

        Interlocked.Decrement(ref _used);
        return false;
    }
}
