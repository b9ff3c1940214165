using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using BarBroker.Client;
using BarBroker.Unix;

namespace BarBroker.Tests.Client;

/// <summary>This test program once more, as a process that is meant to die: what a test can't do in its own.</summary>
internal static partial class DyingProcess
{
    public const string ForeignBusError = "foreign-bus-error";

    private const string Variable = "BAR_BROKER_TEST_DYING_PROCESS";

    public static Process Start(string scenario)
    {
        // The shell forbids a core dump, which is of no use here and large.
        ProcessStartInfo start = new("/bin/sh", ["-c", "ulimit -c 0; exec \"$0\" \"$@\"", Environment.ProcessPath!])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string program = typeof(DyingProcess).Assembly.Location;
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
        {
            start.ArgumentList.Add(program);
        }

        start.Environment[Variable] = scenario;
        start.Environment["DOTNET_DbgEnableMiniDump"] = "0";
        return Process.Start(start)!;
    }

    /// <summary>Before the test runner starts: in the child, it never does.</summary>
    [ModuleInitializer]
    internal static void RunIfChild()
    {
        if (Environment.GetEnvironmentVariable(Variable) is { } scenario)
        {
            Environment.Exit(scenario == ForeignBusError ? MeetForeignBusError() : 2);
        }
    }

    private static int MeetForeignBusError()
    {
        using TestLease lease = new();
        using MappedBar bar = lease.Map();
        lease.Revoke();
        try
        {
            bar.Read32(0);
        }
        catch (LeaseRevokedException)
        {
            Console.Out.Write("own fault caught\n");
            Console.Out.Flush();
        }

        using MemoryMapping mapping = MemoryMapping.Map(lease.Memory, 0, 4096, Protection.Read);
        return (int)MeasureText(mapping.Address);
    }

    /// <summary>Native code that reads memory, and isn't the SDK's.</summary>
    [LibraryImport("libc", EntryPoint = "strlen")]
    private static partial nuint MeasureText(nint text);
}
