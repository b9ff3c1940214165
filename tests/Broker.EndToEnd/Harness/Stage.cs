using System.Diagnostics;

namespace BarBroker.EndToEnd.Harness;

/// <summary>
/// Where the published programs lie: <c>broker/</c>, <c>probe/</c>, <c>bar-lease/</c>, <c>leased</c> and <c>buf</c>, beside the tests' own
/// directory unless BAR_BROKER_STAGE says otherwise. Everything there must be readable by everybody.
/// </summary>
internal static class Stage
{
    private static readonly string Directory =
        Environment.GetEnvironmentVariable("BAR_BROKER_STAGE") ?? Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, ".."));

    /// <summary>Where to leave the processes' logs for whoever looks into a failure.</summary>
    internal static string Results { get; } = System.IO.Directory.CreateDirectory(
        Environment.GetEnvironmentVariable("BAR_BROKER_RESULTS") ?? Path.Combine(Path.GetTempPath(), "bar-broker-results")).FullName;

    private const UnixFileMode AsTmp = UnixFileMode.StickyBit
        | UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute
        | UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    private static readonly Lazy<string> Homes = new(() =>
    {
        string directory = System.IO.Directory.CreateTempSubdirectory("bar-broker-e2e-homes-").FullName;
        File.SetUnixFileMode(directory, AsTmp);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => System.IO.Directory.Delete(directory, recursive: true);
        return directory;
    });

    internal static ProcessStartInfo Broker() => DotNet("broker/bar-broker.dll");

    /// <summary>Runs a command of <c>bar-broker</c> to its end, as root. Output: what it said on both streams.</summary>
    internal static Task<(int Status, string Output)> RunBrokerAsync(params string[] arguments)
    {
        ProcessStartInfo command = Broker();
        foreach (string argument in arguments)
        {
            command.ArgumentList.Add(argument);
        }

        return RunAsync(command);
    }

    /// <summary>Runs a command to its end. Output: what it said on both streams.</summary>
    internal static async Task<(int Status, string Output)> RunAsync(ProcessStartInfo command)
    {
        using Process process = Process.Start(command)!;
        using CancellationTokenSource limit = new(Patience.Limit);
        Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
        string output = await process.StandardOutput.ReadToEndAsync(limit.Token);
        await process.WaitForExitAsync(limit.Token);
        return (process.ExitCode, output + await errors);
    }

    internal static ProcessStartInfo Probe() => DotNet("probe/bar-probe.dll");

    internal static ProcessStartInfo BarLease() => DotNet("bar-lease/bar-lease.dll");

    internal static ProcessStartInfo Shell() => Command("/bin/sh");

    /// <summary>The example program that bar-lease is made for.</summary>
    internal static string Leased => Path.Combine(Directory, "leased");

    /// <summary>An example client.</summary>
    internal static ProcessStartInfo Example(string name) => Command(Path.Combine(Examples, name));

    /// <summary>Where the dynamic linker finds libbarbroker.</summary>
    internal static string ExampleLibraries => Path.Combine(Examples, "lib");

    private static string Examples => Environment.GetEnvironmentVariable("BAR_BROKER_EXAMPLES")
        ?? throw new InvalidOperationException("BAR_BROKER_EXAMPLES is not set: where the example clients lie, built (tests/run.sh e2e does that).");

    internal static ProcessStartInfo Buf() => Command(Path.Combine(Directory, "buf"));

    /// <summary>The same command under another user, in <see cref="Users.ClientGroup"/> and, unless named, no other group.</summary>
    internal static ProcessStartInfo As(int user, ProcessStartInfo command, params int[] otherGroups)
    {
        string groups = otherGroups.Length > 0 ? $"--groups={string.Join(',', otherGroups)}" : "--clear-groups";
        ProcessStartInfo wrapped = Command("/usr/bin/setpriv");
        foreach (string argument in (string[])[$"--reuid={user}", $"--regid={Users.ClientGroup}", groups, "--", command.FileName, .. command.ArgumentList])
        {
            wrapped.ArgumentList.Add(argument);
        }

        wrapped.Environment["HOME"] = Home($"{user}");
        return wrapped;
    }

    /// <summary>The same command with that many descriptors at most, as LimitNOFILE= in a unit has it.</summary>
    internal static ProcessStartInfo WithDescriptors(int limit, ProcessStartInfo command)
    {
        ProcessStartInfo wrapped = Command("/usr/bin/prlimit");
        foreach (string argument in (string[])[$"--nofile={limit}:{limit}", "--", command.FileName, .. command.ArgumentList])
        {
            wrapped.ArgumentList.Add(argument);
        }

        wrapped.Environment["HOME"] = command.Environment["HOME"];
        return wrapped;
    }

    // buf keeps a cache at home, which its user makes: below a directory where everybody may.
    private static string Home(string user) => Path.Combine(Homes.Value, user);

    private static ProcessStartInfo DotNet(string program)
    {
        string path = Path.Combine(Directory, program);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"'{path}' is not there: publish the programs first (tests/run.sh e2e does), or set BAR_BROKER_STAGE.");
        }

        // The very runtime that runs the tests: there may be no other on PATH.
        ProcessStartInfo command = Command(Environment.ProcessPath!);
        command.ArgumentList.Add(path);
        return command;
    }

    private static ProcessStartInfo Command(string file)
    {
        ProcessStartInfo command = new(file)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        // A debugger's socket per process is of no use here, and costs its start.
        command.Environment["DOTNET_EnableDiagnostics"] = "0";
        command.Environment["HOME"] = Home("root");
        return command;
    }
}
