// bar-fuzz DIR SECONDS [SEED [TARGET]...]: gives each target inputs made of those in DIR, for so many seconds. Prints a line a target, and at
// the end how many bore it. An input that shows a fault is kept below DIR/regressions, which ends the target's turn.

using System.Diagnostics;
using System.Globalization;
using BarBroker.Fuzz;
using BarBroker.Fuzz.Targets;

if (args.Length < 2 || !int.TryParse(args[1], CultureInfo.InvariantCulture, out int seconds))
{
    Console.Error.WriteLine("usage: bar-fuzz DIR SECONDS [SEED [TARGET]...]");
    return 2;
}

string root = args[0];
int seed = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : Random.Shared.Next();
string[] names = args.Length > 3 ? args[3..] : [.. FuzzTargets.All.Keys];
int good = 0;
foreach (string name in names)
{
    good += await FuzzAsync(name) ? 1 : 0;
}

Console.WriteLine($"{good} passed, {names.Length - good} failed");
return good == names.Length ? 0 : 1;

async Task<bool> FuzzAsync(string name)
{
    await using IFuzzTarget target = FuzzTargets.All[name]();
    byte[][] corpus = [.. Inputs.Of(root, name).Select(File.ReadAllBytes), []];
    Mutator mutator = new(new Random(seed), corpus);
    long start = Stopwatch.GetTimestamp();
    long runs = 0;
    while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
    {
        byte[] input = runs < corpus.Length ? corpus[runs] : mutator.Next();
        runs++;
        try
        {
            await target.RunAsync(input);
        }
#pragma warning disable CA1031 // Whatever it throws is what is looked for.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            Console.WriteLine($"{name}: run {runs}, seed {seed}: {exception}");
            Console.WriteLine($"{name}: the input is kept as {Inputs.Keep(root, name, input)}");
            return false;
        }
    }

    Console.WriteLine($"{name}: {runs} runs, seed {seed}");
    return true;
}
