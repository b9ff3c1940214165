namespace BarBroker.Fuzz;

/// <summary>Makes inputs of others: of the corpus at first, then also of its own.</summary>
internal sealed class Mutator(Random random, IReadOnlyList<byte[]> corpus)
{
    private const int MostSteps = 8;
    private const int MostKept = 256;
    private const int Longest = 16 * 1024;

    /// <summary>Numbers at which lengths and counters turn, most of them.</summary>
    private static readonly byte[] Edges = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff, (byte)'%', (byte)',', (byte)'=', (byte)'\n'];

    private readonly List<byte[]> _kept = [];

    internal byte[] Next()
    {
        List<byte> input = [.. Pick()];
        for (int steps = random.Next(1, MostSteps + 1); steps > 0; steps--)
        {
            Change(input);
        }

        byte[] made = [.. input.Take(Longest)];
        if (_kept.Count < MostKept)
        {
            _kept.Add(made);
        }
        else if (random.Next(16) == 0)
        {
            _kept[random.Next(MostKept)] = made;
        }

        return made;
    }

    private byte[] Pick() => _kept.Count > 0 && random.Next(4) == 0 ? _kept[random.Next(_kept.Count)] : corpus[random.Next(corpus.Count)];

    private void Change(List<byte> input)
    {
        int at = random.Next(input.Count + 1);
        bool inside = at < input.Count;
        switch (random.Next(7))
        {
            case 0 when inside:
                input[at] ^= (byte)(1 << random.Next(8));
                break;
            case 1 when inside:
                input[at] = Edges[random.Next(Edges.Length)];
                break;
            case 2 when inside:
                input.RemoveRange(at, random.Next(1, Math.Min(16, input.Count - at) + 1));
                break;
            case 3 when inside:
                // Once more, what stands there.
                input.InsertRange(at, input.GetRange(at, random.Next(1, Math.Min(64, input.Count - at) + 1)));
                break;
            case 4:
                // The end of another.
                byte[] other = Pick();
                input.RemoveRange(at, input.Count - at);
                input.AddRange(other.Skip(random.Next(other.Length + 1)));
                break;
            case 5 when inside:
                input[at] = (byte)(input[at] + random.Next(-16, 17));
                break;
            default:
                input.Insert(at, (byte)random.Next(256));
                break;
        }
    }
}
