namespace BarBroker.Policy;

/// <summary>What somebody who mistyped a name may have meant.</summary>
internal static class NearestName
{
    private const int MostListed = 12;

    /// <summary>A sentence naming the nearest of <paramref name="candidates"/>, or listing them all when none is near.</summary>
    public static string Suggest(string found, IReadOnlyCollection<string> candidates)
    {
        string? nearest = candidates.MinBy(candidate => Distance(found, candidate));
        if (nearest is null)
        {
            return "There are none.";
        }

        return Distance(found, nearest) <= Math.Max(1, found.Length / 3)
            ? $"Did you mean '{nearest}'?"
            : $"Known are: {string.Join(", ", candidates.Take(MostListed))}{(candidates.Count > MostListed ? $" and {candidates.Count - MostListed} more" : "")}.";
    }

    /// <summary>Letters to insert, drop, replace or swap with their neighbour until the two are equal, whatever their case.</summary>
    internal static int Distance(string left, string right)
    {
        int[,] cost = new int[left.Length + 1, right.Length + 1];
        for (int i = 0; i <= left.Length; i++)
        {
            for (int j = 0; j <= right.Length; j++)
            {
                if (i == 0 || j == 0)
                {
                    cost[i, j] = i + j;
                    continue;
                }

                int replace = cost[i - 1, j - 1] + (Same(left[i - 1], right[j - 1]) ? 0 : 1);
                cost[i, j] = Math.Min(replace, Math.Min(cost[i - 1, j], cost[i, j - 1]) + 1);
                if (i > 1 && j > 1 && Same(left[i - 1], right[j - 2]) && Same(left[i - 2], right[j - 1]))
                {
                    cost[i, j] = Math.Min(cost[i, j], cost[i - 2, j - 2] + 1);
                }
            }
        }

        return cost[left.Length, right.Length];
    }

    private static bool Same(char left, char right) => char.ToLowerInvariant(left) == char.ToLowerInvariant(right);
}
