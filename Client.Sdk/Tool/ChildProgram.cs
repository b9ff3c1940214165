using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using BarBroker.Unix;

namespace BarBroker.Tool;

/// <summary>The program, through native/program.h. There is one.</summary>
internal static unsafe partial class ChildProgram
{
    private const string Library = "bar_lease";
    private const int NoEntry = 2;
    private const int NotDirectory = 20;
    private const int NoExecutable = 8;

    /// <summary>PROCESS_ID_SIZE: digits of a process id, with the zero at the end.</summary>
    private const int ProcessIdSize = 12;

    /// <summary>Starts it, with copies of <paramref name="descriptors"/>.</summary>
    /// <exception cref="FailureException">It can't be run, or isn't there.</exception>
    public static void Start(RunOptions options, OwnedDescriptor[] descriptors, ulong ignoredSignals)
    {
        byte[][] arguments = ProcessFiles.ReadArguments(options.Program);
        byte[][] inherited = ProcessFiles.ReadEnvironment();
        byte[][] environment =
        [
            .. inherited.Where(entry => !IsOfListening(entry)),
            Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"LISTEN_FDS={descriptors.Length}")),
            Encoding.ASCII.GetBytes($"LISTEN_FDNAMES={string.Join(':', options.Names)}"),
            [.. "LISTEN_PID="u8, .. new byte[ProcessIdSize]],
        ];
        using NativeStrings strings = new();
        byte** environmentStrings = strings.Add(environment);
        int* numbers = stackalloc int[descriptors.Length];
        for (int i = 0; i < descriptors.Length; i++)
        {
            numbers[i] = (int)descriptors[i].DangerousGetHandle();
        }

        NativeProgram program = new()
        {
            Paths = strings.Add(ProgramSearch.FindPaths(arguments[0], inherited)),
            Arguments = strings.Add(arguments),
            Environment = environmentStrings,
            ProcessId = environmentStrings[environment.Length - 1] + "LISTEN_PID=".Length,
            Descriptors = numbers,
            DescriptorCount = (nuint)descriptors.Length,
            IgnoredSignals = ignoredSignals,
        };
        int error = Start(&program);
        GC.KeepAlive(descriptors);
        if (error != 0)
        {
            throw Failure(Encoding.UTF8.GetString(arguments[0]), error);
        }
    }

    /// <summary>Sends it a signal, unless it has ended.</summary>
    [LibraryImport(Library, EntryPoint = "program_signal")]
    public static partial int Signal(int number);

    /// <summary>Returns once it has ended: its exit status, or 128 + n.</summary>
    [LibraryImport(Library, EntryPoint = "program_wait")]
    public static partial int Wait();

    /// <summary>One of the variables of sd_listen_fds(3), which were for this process. Others may begin like them.</summary>
    private static bool IsOfListening(ReadOnlySpan<byte> entry)
        => entry.StartsWith("LISTEN_PID="u8) || entry.StartsWith("LISTEN_PIDFDID="u8) || entry.StartsWith("LISTEN_FDS="u8) || entry.StartsWith("LISTEN_FDNAMES="u8);

    private static FailureException Failure(string program, int error)
    {
        string reason = Marshal.GetPInvokeErrorMessage(Math.Abs(error));
        return error switch
        {
            < 0 => new FailureException(ExitCodes.Failure, $"No program can be started: {reason}."),
            NoEntry or NotDirectory when program.Contains('/', StringComparison.Ordinal) =>
                new FailureException(ExitCodes.NotFound, $"'{program}' is not there, or the interpreter that it names isn't: {reason}."),
            NoEntry or NotDirectory => new FailureException(ExitCodes.NotFound, $"There is no '{program}' in PATH."),
            NoExecutable => new FailureException(ExitCodes.NotExecutable, $"'{program}' is no program: {reason}. A script begins with #! and its interpreter."),
            _ => new FailureException(ExitCodes.NotExecutable, $"'{program}' can't be run: {reason}."),
        };
    }

    [LibraryImport(Library, EntryPoint = "program_start")]
    private static partial int Start(NativeProgram* program);

    /// <summary>struct program.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct NativeProgram
    {
        public byte** Paths;
        public byte** Arguments;
        public byte** Environment;
        public byte* ProcessId;
        public int* Descriptors;
        public nuint DescriptorCount;
        public ulong IgnoredSignals;
    }
}
