using BarBroker.Fuzz;
using BarBroker.Fuzz.Targets;
using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace BarBroker.Tests.Properties;

/// <summary>What takes bytes from strangers bears those that are kept, and any others: the fuzzer's targets with FsCheck's inputs.</summary>
public sealed class InputTests
{
    private static readonly string Root = Path.Combine(AppContext.BaseDirectory, "fuzz");

    public static TheoryData<string> Targets { get; } = [.. FuzzTargets.All.Keys];

    /// <summary>Those without sockets, which take an input in microseconds.</summary>
    public static TheoryData<string> Parsers { get; } = [.. FuzzTargets.All.Keys.Except(["server", "client"])];

    [Theory]
    [MemberData(nameof(Targets))]
    public async Task Every_input_that_is_kept_is_borne(string name)
    {
        string[] paths = [.. Inputs.Of(Root, name)];
        Assert.NotEmpty(paths);
        await using IFuzzTarget target = FuzzTargets.All[name]();
        foreach (string path in paths)
        {
            await RunAsync(target, await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken), path);
        }
    }

    [Theory]
    [MemberData(nameof(Parsers))]
    public void Any_bytes_are_borne(string name) =>
        Prop.ForAll<byte[]>(bytes => Run(name, bytes)).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Theory]
    [MemberData(nameof(Parsers))]
    public void What_is_nearly_right_is_borne(string name)
    {
        byte[][] corpus = [.. Inputs.Of(Root, name).Select(File.ReadAllBytes)];
        Gen<byte[]> near =
            from right in Gen.Elements(corpus)
            from at in Gen.Choose(0, right.Length)
            from cut in Gen.Choose(0, Math.Min(4, right.Length - at))
            from put in ArbMap.Default.GeneratorFor<byte>().ArrayOf(2)
            from other in Gen.Elements(corpus)
            from joined in Gen.Elements(true, false, false)
            select (byte[])[.. right[..at], .. put, .. right[(at + cut)..], .. joined ? other : []];

        Prop.ForAll(near.ToArbitrary(), bytes => Run(name, bytes)).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    private static void Run(string name, byte[] bytes)
    {
        // A parser is done when this returns.
        ValueTask done = FuzzTargets.All[name]().RunAsync(bytes);
        Assert.True(done.IsCompletedSuccessfully);
    }

    private static async Task RunAsync(IFuzzTarget target, byte[] input, string path)
    {
        try
        {
            await target.RunAsync(input);
        }
        catch (Exception exception)
        {
            throw new InvalidOperationException($"{path} is not borne.", exception);
        }
    }
}
